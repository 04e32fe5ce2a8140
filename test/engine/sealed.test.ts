import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import type { SealedDoor, Link } from "#cli/daemon.ts";
import type { DeviceId } from "#core/ids.ts";
import { WorldError } from "#core/errors.ts";
import type { Domain } from "#crypto/chunk.ts";
import { rootKey, signingSeed, spaceKeys } from "#crypto/keys.ts";
import { evaluate, evaluationKey, readRequest, type OprfWorld } from "#crypto/oprf.ts";
import { systemChance } from "#platform/chance.ts";
import { systemPrimitives } from "#platform/primitives.ts";
import { openRistretto } from "#platform/ristretto.ts";
import type { KeyService } from "#sync/ports.ts";
import { treeOf, until, World, type Device, type SealedWish } from "./world.ts";

const MIB = 1024 * 1024;
const { hashes, signatures } = systemPrimitives;
const ristretto = await openRistretto();
const oprf: OprfWorld = { hashes, ristretto, chance: systemChance };
const SERVICE = evaluationKey(oprf, 1, new Uint8Array(32).fill(3));

/** A key service in this process, that can be switched off. */
class Service implements KeyService {
  evaluations = 0;
  isAway = false;

  async evaluate(request: Uint8Array): Promise<Uint8Array> {
    if (this.isAway) throw new WorldError("key-service-away", "It is away.");
    const asked = readRequest(oprf, request);
    this.evaluations += asked.blinded.length;
    return evaluate(oprf, SERVICE, asked);
  }
}

/** What the devices of one account share: the keys of a space, and each other's signing keys. */
class Account implements SealedWish {
  readonly name: string;
  readonly service: Service;
  readonly signers = new Map<DeviceId, Uint8Array>();
  readonly fallBacks: string[] = [];
  readonly #domain: Domain;
  readonly #root = rootKey(randomBytes(32));

  constructor(service: Service, domain: Domain = "shared") {
    this.name = randomBytes(16).toString("hex");
    this.service = service;
    this.#domain = domain;
  }

  door(link: Link): SealedDoor {
    const seed = signingSeed(randomBytes(32));
    this.signers.set(link.device, signatures.publicKey(seed));
    const current = spaceKeys(hashes, link.space, 1, this.#root);
    const keys = {
      epochs: new Map([[1, current]]),
      current,
      domain: this.#domain,
      service: SERVICE,
      signingSeed: seed,
      signingKeyOf: (device: DeviceId) => this.signers.get(device),
    };
    return {
      keys: () => keys,
      refreshKeys: async () => undefined,
      keyService: this.service,
      ristretto: async () => ristretto,
      onFallBack: (code) => this.fallBacks.push(code),
    };
  }
}

async function join2(world: World, account: Account, name: string, owner = "alice") {
  const device = await world.linked(name, owner, account);
  device.up();
  await device.settle();
  return device;
}

function fill(dir: string, secret: string): void {
  mkdirSync(join(dir, "papers"));
  writeFileSync(join(dir, "papers", `${secret}.txt`), `all about ${secret}`);
  writeFileSync(join(dir, "papers", "empty"), "");
  writeFileSync(join(dir, "large.txt"), `${secret} `.repeat(50_000));
  writeFileSync(join(dir, "random"), randomBytes(12 * MIB));
}

/** Bytes of every file that a server keeps, one after the other. */
function serverBytes(world: World): Buffer {
  const below = readdirSync(join(world.root, "data"), { recursive: true, withFileTypes: true });
  const files = below.filter((entry) => entry.isFile());
  return Buffer.concat(files.map((file) => readFileSync(join(file.parentPath, file.name))));
}

function storedBytes(world: World): number {
  const packs = readdirSync(join(world.root, "data", "packs"), {
    recursive: true,
    withFileTypes: true,
  });
  const files = packs.filter((entry) => entry.isFile());
  // A pack that is written is under its last name a moment later.
  const sizes = files.map((file) =>
    statSync(join(file.parentPath, file.name), { throwIfNoEntry: false }),
  );
  return sizes.reduce((sum, stat) => sum + (stat?.size ?? 0), 0);
}

async function assertEqualTrees(world: World, ...devices: Device[]): Promise<void> {
  await world.settle();
  const [first] = devices;
  assert(first !== undefined);
  for (const device of devices) assert.deepEqual(treeOf(device.dir), treeOf(first.dir));
}

suite("a sealed space", { concurrency: true }, () => {
  test("SL1: is the same on all devices, and the server has no name and no content", async () => {
    await using world = await World.start();
    const account = new Account(new Service());
    const a = await join2(world, account, "A");
    const b = await join2(world, account, "B");
    fill(a.dir, "umbrella-pine");
    await assertEqualTrees(world, a, b);
    assert(readFileSync(b.path("random")).equals(readFileSync(a.path("random"))));
    renameSync(b.path("papers"), b.path("moved"));
    writeFileSync(b.path("moved", "empty"), "no longer");
    writeFileSync(b.path("random"), randomBytes(5 * MIB));
    await assertEqualTrees(world, a, b);
    rmSync(a.path("moved"), { recursive: true });
    await assertEqualTrees(world, a, b);
    const c = await join2(world, account, "C");
    await assertEqualTrees(world, a, b, c);
    const bytes = serverBytes(world);
    for (const word of ["umbrella-pine", "papers", "large.txt", "no longer"]) {
      assert(!bytes.includes(word), `the server knows ${word}`);
    }
    assert.equal(account.fallBacks.length, 0);
  });

  test("SL6: what two accounts have is stored once, private spaces' apart", async () => {
    await using world = await World.start();
    await world.signUp("bob");
    const service = new Service();
    const a = await join2(world, new Account(service), "A");
    const b = await join2(world, new Account(service), "B", "bob");
    const c = await join2(world, new Account(service, "private"), "C", "bob");
    const bytes = randomBytes(20 * MIB);
    writeFileSync(a.path("video"), bytes);
    await a.settle();
    const once = storedBytes(world);
    writeFileSync(b.path("the same"), bytes);
    await b.settle();
    assert(b.engine.status(0).sentBytes > 20 * MIB, "who has it is not to be learned by sending");
    await until("the second copy is dropped", () => storedBytes(world) < once * 1.02);
    writeFileSync(c.path("mine"), bytes);
    await c.settle();
    assert(storedBytes(world) > once * 1.9, "a private space shares nothing");
    assert(service.evaluations > 0);
  });

  test("SL7: without the key service chunks are sealed for the space, and it is told", async () => {
    await using world = await World.start();
    const service = new Service();
    const account = new Account(service);
    const a = await join2(world, account, "A");
    const b = await join2(world, account, "B");
    service.isAway = true;
    writeFileSync(a.path("now"), randomBytes(2 * MIB));
    await assertEqualTrees(world, a, b);
    assert.deepEqual([...new Set(account.fallBacks)], ["key-service-away"]);
    service.isAway = false;
    writeFileSync(a.path("then"), randomBytes(2 * MIB));
    await assertEqualTrees(world, a, b);
    assert(service.evaluations > 0);
  });

  test("SL9: what a device sends that nobody vouches for stops the others", async () => {
    await using world = await World.start();
    const account = new Account(new Service());
    const a = await join2(world, account, "A");
    const b = await join2(world, account, "B");
    writeFileSync(a.path("good"), "good");
    await assertEqualTrees(world, a, b);
    account.signers.delete(b.link.device);
    writeFileSync(b.path("bad"), "bad");
    await until("A stops", () => a.engine.status(0).state === "halted");
    assert.match(a.engine.status(0).reason ?? "", /is not to be believed/);
    assert.deepEqual(treeOf(a.dir), { good: "good" });
  });
});
