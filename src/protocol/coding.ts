/**
 * How bodies of JSON are made shorter for the way, either way: zstd (RFC 8878), as a content coding
 * (RFC 9110, 8.4). Ids travel as hex and sealed bytes as base64, which it makes up for.
 */
export const BODY_CODING = "zstd";

/** The fastest level of zstd that codes letters: what is sent is mostly hex and base64 of noise. */
export const CODING_LEVEL = 1;

/** Shorter bodies are not worth it. */
export const LEAST_CODED_BYTES = 1_024;

/** Whether the Accept-Encoding of a request or an answer names the coding, and not to refuse it. */
export function namesCoding(accepted: string | null | undefined): boolean {
  return (accepted ?? "").split(",").some((each) => {
    const [coding, ...parameters] = each.split(";").map((part) => part.trim().toLowerCase());
    return coding === BODY_CODING && !parameters.some((part) => /^q=0(?:\.0*)?$/.test(part));
  });
}
