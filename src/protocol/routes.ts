/**
 * Where everything is, as OpenAPI path templates. Devices fill them with `fillRoute`; the server's
 * route definitions are made of the same constants, so the two cannot drift apart.
 */
export const ROUTES = {
  health: "/healthz",
  ready: "/readyz",
  metrics: "/metrics",
  openapi: "/openapi.json",
  server: "/v1/server",
  registrations: "/v1/registrations",
  accounts: "/v1/accounts",
  logins: "/v1/logins",
  recoveries: "/v1/recoveries",
  vault: "/v1/account",
  keyring: "/v1/account/keyring",
  password: "/v1/account/password",
  devices: "/v1/devices",
  device: "/v1/devices/{device}",
  tokens: "/v1/tokens",
  joinCodes: "/v1/join-codes",
  joinAnswers: "/v1/join-codes/messages",
  joinDevices: "/v1/join-codes/devices",
  joinWithdrawals: "/v1/join-codes/withdrawals",
  join: "/v1/join",
  joinNext: "/v1/join/next",
  evaluations: "/v1/evaluations",
  spaces: "/v1/spaces",
  space: "/v1/spaces/{space}",
  keyEpoch: "/v1/spaces/{space}/key-epoch",
  commits: "/v1/spaces/{space}/commits",
  changes: "/v1/spaces/{space}/changes",
  events: "/v1/spaces/{space}/events",
  chunks: "/v1/spaces/{space}/chunks",
  chunksMissing: "/v1/spaces/{space}/chunks/missing",
  chunksRoom: "/v1/spaces/{space}/chunks/room",
  chunksLacking: "/v1/spaces/{space}/chunks/lacking",
  chunksFetch: "/v1/spaces/{space}/chunks/fetch",
  revisions: "/v1/spaces/{space}/nodes/{node}/revisions",
  revision: "/v1/spaces/{space}/nodes/{node}/revisions/{sequence}",
  trash: "/v1/spaces/{space}/trash",
  metadataCommit: "/metadata_commit",
  uploadChunk: "/upload_chunk/{user_id}/{chunk_hash}",
  downloadChunk: "/download_chunk/{user_id}/{chunk_hash}",
  fileMetadata: "/file_metadata/{user_id}/{file_path}",
  listFiles: "/list_files/{user_id}",
  getUpdates: "/get_updates/{user_id}/{since_version}",
  revertFile: "/revert_file/{user_id}/{file_path}",
} as const;

export type RouteName = keyof typeof ROUTES;

type Holes<Path extends string> = Path extends `${string}{${infer Name}}${infer Rest}`
  ? Name | Holes<Rest>
  : never;

/** The path of a route, each hole filled with the percent-encoded value (`/` included). */
export function fillRoute<Name extends RouteName>(
  name: Name,
  values: Readonly<Record<Holes<(typeof ROUTES)[Name]>, string | number>>,
): string {
  const byName = values as Readonly<Record<string, string | number>>;
  return ROUTES[name].replaceAll(/\{(\w+)\}/g, (_, hole: string) =>
    encodeURIComponent(String(byName[hole])),
  );
}
