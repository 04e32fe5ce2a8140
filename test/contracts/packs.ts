import { strict as assert } from "node:assert";
import { test } from "node:test";
import { utf8 } from "#core/bytes.ts";
import type { PackStore } from "../../src/server/chunks/port.ts";
import { newNode } from "./tree.ts";

export type PacksUnderTest = AsyncDisposable & { readonly packs: PackStore };
type OpenPacks = () => Promise<PacksUnderTest>;

/** Names of packs look like this everywhere: random and never the same. */
export const newPack = (): string => newNode().split("").toReversed().join("");

export async function writePack(packs: PackStore, name: string, text: string): Promise<void> {
  const pack = await packs.create(name);
  await pack.append(utf8(text));
  await pack.finish();
}

const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

async function namesOf(packs: PackStore): Promise<string[]> {
  return (await Array.fromAsync(packs.list())).toSorted();
}

/** What every store of packs has to answer alike. */
export function packContract(store: string, open: OpenPacks): void {
  writeContract(store, open);
  endContract(store, open);
}

function writeContract(store: string, open: OpenPacks): void {
  test(`CH1: a pack is there when it is finished, and not before (${store})`, async () => {
    await using under = await open();
    const { packs } = under;
    const name = newPack();
    const pack = await packs.create(name);
    assert.equal(await pack.append(utf8("one")), 0);
    assert.equal(await pack.append(utf8("three")), 3);
    assert.deepEqual(await namesOf(packs), []);
    await assert.rejects(packs.read(name, 0, 1), { code: "pack-missing" });
    await pack.finish();
    assert.deepEqual(await namesOf(packs), [name]);
    assert.equal(textOf(await packs.read(name, 0, 8)), "onethree");
    assert.equal(textOf(await packs.read(name, 2, 3)), "eth");
  });

  test(`CH1: what was appended does not change with the caller's bytes (${store})`, async () => {
    await using under = await open();
    const name = newPack();
    const pack = await under.packs.create(name);
    // A Buffer too, whose slices are views.
    for (const bytes of [utf8("before"), Buffer.from(" after")]) {
      await pack.append(bytes);
      bytes.fill(0);
    }
    await pack.finish();
    assert.equal(textOf(await under.packs.read(name, 0, 12)), "before after");
  });

  test(`CH1: a pack's name is never used again (${store})`, async () => {
    await using under = await open();
    const { packs } = under;
    const name = newPack();
    const pack = await packs.create(name);
    await assert.rejects(packs.create(name), { code: "pack-exists" });
    await pack.append(utf8("first"));
    await pack.finish();
    await assert.rejects(writePack(packs, name, "second"), { code: "pack-exists" });
    assert.equal(textOf(await packs.read(name, 0, 5)), "first");
  });

  test(`CH1: many packs are written and read at once (${store})`, async () => {
    await using under = await open();
    const { packs } = under;
    const names = Array.from({ length: 100 }, newPack);
    await Promise.all(names.map((name) => writePack(packs, name, `the pack ${name}`)));
    assert.deepEqual(await namesOf(packs), names.toSorted());
    const reads = [...names, ...names.toReversed()].map(async (name) => {
      const bytes = await packs.read(name, 9, name.length);
      assert.equal(textOf(bytes), name);
    });
    await Promise.all(reads);
    await Promise.all(names.map((name) => packs.remove(name)));
    assert.deepEqual(await namesOf(packs), []);
  });
}

function endContract(store: string, open: OpenPacks): void {
  test(`CH2: a pack that is given up leaves nothing (${store})`, async () => {
    await using under = await open();
    const { packs } = under;
    const name = newPack();
    const pack = await packs.create(name);
    await pack.append(utf8("never"));
    await pack.discard();
    assert.deepEqual(await namesOf(packs), []);
    await assert.rejects(packs.read(name, 0, 1), { code: "pack-missing" });
    await writePack(packs, name, "again");
    assert.deepEqual(await namesOf(packs), [name]);
  });

  test(`CH3: reading beyond the end says so (${store})`, async () => {
    await using under = await open();
    const { packs } = under;
    const name = newPack();
    await writePack(packs, name, "short");
    await assert.rejects(packs.read(name, 3, 3), { code: "pack-short" });
    await assert.rejects(packs.read(name, 9, 1), { code: "pack-short" });
    assert.equal(textOf(await packs.read(name, 3, 2)), "rt");
    await assert.rejects(packs.read(newPack(), 0, 1), { code: "pack-missing" });
  });

  test(`CH3: a removed pack is gone, and removing it twice is fine (${store})`, async () => {
    await using under = await open();
    const { packs } = under;
    const [gone, stays] = [newPack(), newPack()];
    await writePack(packs, gone, "gone");
    await writePack(packs, stays, "stays");
    await packs.read(gone, 0, 4);
    await packs.remove(gone);
    await packs.remove(gone);
    await packs.remove(newPack());
    assert.deepEqual(await namesOf(packs), [stays]);
    await assert.rejects(packs.read(gone, 0, 1), { code: "pack-missing" });
  });
}
