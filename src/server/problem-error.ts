import type { ProblemCode } from "#protocol/problem.ts";

/**
 * A refusal of a request: thrown anywhere below a route, written once as RFC 9457 problem details.
 * `detail` is one sentence that names the thing, the value and the next step.
 */
export class ProblemError extends Error {
  override readonly name = "ProblemError";
  readonly code: ProblemCode;
  readonly detail: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Further members of the body, for programs. */
  readonly members: Readonly<Record<string, number | string>>;

  constructor(
    code: ProblemCode,
    detail: string,
    more: {
      readonly headers?: Readonly<Record<string, string>>;
      readonly members?: Readonly<Record<string, number | string>>;
    } = {},
  ) {
    super(detail);
    this.code = code;
    this.detail = detail;
    this.headers = more.headers ?? {};
    this.members = more.members ?? {};
  }
}
