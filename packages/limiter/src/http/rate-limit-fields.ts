/** What `RateLimit-Policy` says of one policy. */
export interface QuotaPolicy {
  readonly name: string;
  /** Units in a window. */
  readonly quota: number;
  /** Length of the window in seconds. */
  readonly windowSeconds?: number;
}

/** What `RateLimit` says of one policy. */
export interface ServiceLimit {
  readonly name: string;
  /** Units left. */
  readonly remaining: number;
  /** After how many seconds more will be left. */
  readonly resetSeconds?: number;
}

/** A version of the header fields' syntax. They are still moving: a new draft becomes a new version beside the old. */
export type RateLimitVersion = 'draft-11';

/** How one version writes the members of its two lists. */
export interface RateLimitSyntax {
  readonly policy: (policy: QuotaPolicy) => string;
  readonly limit: (limit: ServiceLimit) => string;
}

/** Draft 11 of the IETF's "RateLimit header fields for HTTP": quoted names with parameters (RFC 9651). */
const draft11: RateLimitSyntax = {
  policy: ({ name, quota, windowSeconds }) => quoted(name) + parameter('q', quota) + parameter('w', windowSeconds),
  limit: ({ name, remaining, resetSeconds }) => quoted(name) + parameter('r', remaining) + parameter('t', resetSeconds),
};

/** The syntaxes by their versions. */
export const rateLimitSyntaxes: Readonly<Record<RateLimitVersion, RateLimitSyntax>> = { 'draft-11': draft11 };

/** The largest Integer of RFC 9651. */
const MAX_INTEGER = 999_999_999_999_999;

function parameter(key: string, value: number | undefined): string {
  return value === undefined ? '' : `;${key}=${Math.min(value, MAX_INTEGER)}`;
}

/** What every policy's name is. */
const PLAIN = /^[\w-]*$/;

/** A String of RFC 9651. It has no characters but ASCII's printable ones: others are percent-encoded. */
function quoted(name: string): string {
  if (PLAIN.test(name)) return `"${name}"`;
  const ascii = name.toWellFormed().replaceAll(/[^\x20-\x7e]/gu, (character) => encodeURIComponent(character));
  return `"${ascii.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
}
