import type { Metadata } from "../../src/server/metadata/port.ts";
import { accountContract } from "./metadata-accounts.ts";
import { chunkContract } from "./metadata-chunks.ts";
import { answerContract, appendContract, spaceContract } from "./metadata-journals.ts";
import { historyContract, pageContract, treeContract } from "./metadata-trees.ts";

/** One database under test; `peer` opens it once more, as another server process would. */
export type MetadataUnderTest = AsyncDisposable & {
  readonly metadata: Metadata;
  peer(): Promise<Metadata>;
};

export type OpenMetadata = () => Promise<MetadataUnderTest>;

/** What every database has to answer alike. */
export function metadataContract(database: string, open: OpenMetadata): void {
  accountContract(database, open);
  journalContract(database, open);
}

/** What every database has to answer alike about spaces and chunks. */
export function journalContract(database: string, open: OpenMetadata): void {
  spaceContract(database, open);
  appendContract(database, open);
  answerContract(database, open);
  treeContract(database, open);
  historyContract(database, open);
  pageContract(database, open);
  chunkContract(database, open);
}
