import { execFile, execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePort, StartedProgram } from "./started.ts";

const PROGRAMS = ["ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin"];

const PACKAGES = ["radosgw", "ceph-mon", "ceph-osd", "ceph-common"];
const INSTALL_MS = 300_000;

/**
 * Why no gateway can be started here; false when one can. With LOCKSTEP_TEST_INSTALL set it is
 * installed where apt-get can.
 */
export async function cephMissing(): Promise<string | false> {
  if (process.env["LOCKSTEP_TEST_S3"] !== undefined) return false;
  if (process.env["LOCKSTEP_TEST_INSTALL"] !== undefined && missing().length > 0) await install();
  if (missing().length === 0) return false;
  return (
    `needs ${missing().join(", ")} (apt-get install --no-install-recommends ` +
    `${PACKAGES.join(" ")}), or LOCKSTEP_TEST_S3 and AWS credentials`
  );
}

function missing(): string[] {
  return PROGRAMS.filter((program) => {
    try {
      execFileSync("/bin/sh", ["-c", `command -v ${program}`], { stdio: "ignore" });
      return false;
    } catch {
      return true;
    }
  });
}

/** What does not work leaves the programs missing. Two that try at once wait for each other. */
async function install(): Promise<void> {
  const lock = ["-o", "DPkg::Lock::Timeout=120"];
  const options = ["-y", "--no-install-recommends", ...lock];
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const apt = (...args: string[]) =>
    promisify(execFile)("apt-get", [...options, ...args], { env, timeout: INSTALL_MS });
  await apt("install", ...PACKAGES)
    .catch(() => apt("update").then(() => apt("install", ...PACKAGES)))
    .catch(() => undefined);
}

type Ports = { readonly monitor: number; readonly gateway: number };

/** One of each, everything in memory, and nobody proves who they are but to the gateway. */
function configuration(folder: string, { monitor, gateway }: Ports): string {
  return `[global]
fsid = ${randomUUID()}
mon_initial_members = a
mon_host = [v2:127.0.0.1:${monitor}/0]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
auth_allow_insecure_global_id_reclaim = true
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_osd_full_ratio = .99
mon_osd_backfillfull_ratio = .98
mon_osd_nearfull_ratio = .97
mon_data_avail_crit = 1
mon_data_avail_warn = 2
ms_mon_client_mode = crc secure
ms_mon_cluster_mode = crc secure
ms_mon_service_mode = crc secure
paxos_propose_interval = 0.05
paxos_min_wait = 0.01
run_dir = ${folder}/run
pid_file = ${folder}/run/$name.pid
admin_socket = ${folder}/run/$name.asok
log_file = ${folder}/log/$name.log
crash_dir = ${folder}/crash
[mon.a]
host = localhost
mon_data = ${folder}/mon
[osd.0]
host = localhost
osd_data = ${folder}/osd
osd_objectstore = memstore
memstore_device_bytes = 2147483648
[client.rgw]
rgw_frontends = beast endpoint=127.0.0.1:${gateway} tcp_nodelay=1
rgw_dynamic_resharding = false
rgw_override_bucket_index_max_shards = 1
rgw_thread_pool_size = 32
rgw_run_sync_thread = false
`;
}

/** An S3 server of a test's own: Ceph's gateway before a cluster of one, in memory. */
export class CephGateway implements AsyncDisposable {
  readonly endpoint: string;
  readonly key = "testkey";
  readonly secret = "testsecret";
  readonly #own: AsyncDisposable;
  readonly #begin: () => Promise<StartedProgram>;
  #running: StartedProgram | null = null;

  private constructor(
    endpoint: string,
    own: AsyncDisposable,
    begin: () => Promise<StartedProgram>,
  ) {
    this.endpoint = endpoint;
    this.#own = own;
    this.#begin = begin;
  }

  static async start(): Promise<CephGateway> {
    await using own = new AsyncDisposableStack();
    const folder = await mkdtemp(join(tmpdir(), "lockstep-ceph-"));
    own.defer(() => rm(folder, { recursive: true, force: true }));
    for (const name of ["mon", "osd", "run", "log", "crash"]) await mkdir(join(folder, name));
    const ports = { monitor: await freePort(), gateway: await freePort() };
    const config = join(folder, "ceph.conf");
    await writeFile(config, configuration(folder, ports));
    const env = { CEPH_CONF: config };
    const run = async (program: string, ...args: string[]): Promise<string> => {
      const all = { env: { ...process.env, ...env }, timeout: 30_000 };
      return (await promisify(execFile)(program, ["-c", config, ...args], all)).stdout;
    };
    const begin = (program: readonly string[], ready: () => Promise<boolean>) =>
      StartedProgram.start(program, { ready, env });
    const start = async (program: readonly string[], ready: () => Promise<boolean>) => {
      own.use(await begin(program, ready));
    };

    const map = join(folder, "monmap");
    const fsid = (await run("ceph-conf", "--lookup", "fsid")).trim();
    const address = `[v2:127.0.0.1:${ports.monitor}/0]`;
    await run("monmaptool", "--create", "--clobber", "--fsid", fsid, "--addv", "a", address, map);
    await run("ceph-mon", "--mkfs", "-i", "a", "--monmap", map);
    await start(["ceph-mon", "-c", config, "-f", "-i", "a"], async () => {
      await run("ceph", "--connect-timeout", "2", "status");
      return true;
    });

    const disk = randomUUID();
    await run("ceph", "osd", "new", disk, "0");
    await run("ceph", "osd", "crush", "add", "osd.0", "1.0", "root=default", "host=localhost");
    await run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", disk);
    await start(["ceph-osd", "-c", config, "-f", "-i", "0"], async () =>
      (await run("ceph", "osd", "stat")).includes("1 up"),
    );

    const endpoint = `http://127.0.0.1:${ports.gateway}`;
    const answers = async () => (await fetch(endpoint)).ok;
    const program = ["radosgw", "-c", config, "-f", "-n", "client.rgw"];
    const gateway = new CephGateway(endpoint, own.move(), () => begin(program, answers));
    const keys = ["--access-key", gateway.key, "--secret-key", gateway.secret];
    const user = ["--uid=lockstep", "--display-name=lockstep", ...keys];
    try {
      await run("radosgw-admin", "--id", "rgw", "user", "create", ...user);
      gateway.#running = await gateway.#begin();
      return gateway;
    } catch (error) {
      await gateway[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Stops the gateway, and gives what starts it again on the same objects. */
  async stop(): Promise<() => Promise<void>> {
    await this.#running?.[Symbol.asyncDispose]();
    this.#running = null;
    return async () => {
      this.#running = await this.#begin();
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running?.[Symbol.asyncDispose]();
    await this.#own[Symbol.asyncDispose]();
  }
}
