import type { Keyring } from "#crypto/keyring.ts";
import type { HttpAccount } from "#platform/account-http.ts";

/** Tells the server which keys commits have to be closed with, where it does not know yet. */
export async function beginEpochs(
  calls: HttpAccount,
  { spaces }: Pick<Keyring, "spaces">,
): Promise<void> {
  const rows = new Map((await calls.listSpaces()).map((row) => [row.space, row]));
  for (const { space, epochs } of spaces) {
    const newest = Math.max(...epochs.map(({ epoch }) => epoch));
    const known = rows.get(space)?.keyEpoch ?? newest;
    for (let epoch = known + 1; epoch <= newest; epoch++) await calls.beginKeyEpoch(space, epoch);
  }
}
