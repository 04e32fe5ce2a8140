import { WorldError } from "#core/errors.ts";

/** What S3 calls a wrong key, a wrong signature, a missing right, a clock that is off. */
const KEPT_OUT = new Set([
  "AccessDenied",
  "Forbidden",
  "InvalidAccessKeyId",
  "SignatureDoesNotMatch",
  "RequestTimeTooSkewed",
  "ExpiredToken",
  "InvalidToken",
  "CredentialsProviderError",
  "PermanentRedirect",
  "AuthorizationHeaderMalformed",
]);

const FULL = new Set(["QuotaExceeded", "InsufficientStorage", "InsufficientCapacity"]);

/** The status of an answer that the SDK threw. */
export function statusOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("$metadata" in error)) return undefined;
  const { httpStatusCode } = error.$metadata as { httpStatusCode?: number };
  return httpStatusCode;
}

/** What a call to the bucket failed by, in our words; no key stands in them. */
export function s3Error(error: unknown, bucket: string): unknown {
  if (error instanceof WorldError || !(error instanceof Error)) return error;
  const say = (code: string, message: string): WorldError =>
    new WorldError(code, message, { retryable: true, cause: error });
  if (FULL.has(error.name)) return say("storage-full", `The bucket ${bucket} is full.`);
  if (error.name === "NoSuchBucket") {
    return say("unavailable", `There is no bucket ${bucket}: make it, or name another.`);
  }
  if (KEPT_OUT.has(error.name) || statusOf(error) === 403) {
    return say(
      "unavailable",
      `The bucket ${bucket} does not let this server in (${error.name}): look at ` +
        "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, the region, and this machine's clock.",
    );
  }
  return say("unavailable", `The bucket ${bucket} does not answer as it should (${error.name}).`);
}
