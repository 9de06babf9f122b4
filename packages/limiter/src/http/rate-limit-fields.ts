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

/** How one version writes its two fields. */
interface RateLimitSyntax {
  readonly policies: (policies: readonly QuotaPolicy[]) => string;
  readonly limits: (limits: readonly ServiceLimit[]) => string;
}

/** Draft 11 of the IETF's "RateLimit header fields for HTTP": Lists of quoted names with parameters (RFC 9651). */
const draft11: RateLimitSyntax = {
  policies: (policies) =>
    policies
      .map(({ name, quota, windowSeconds }) => quoted(name) + parameter('q', quota) + parameter('w', windowSeconds))
      .join(', '),
  limits: (limits) =>
    limits
      .map(({ name, remaining, resetSeconds }) => quoted(name) + parameter('r', remaining) + parameter('t', resetSeconds))
      .join(', '),
};

/** The syntaxes by their versions. */
export const rateLimitSyntaxes: Readonly<Record<RateLimitVersion, RateLimitSyntax>> = { 'draft-11': draft11 };

/** The largest Integer of RFC 9651. */
const MAX_INTEGER = 999_999_999_999_999;

function parameter(key: string, value: number | undefined): string {
  return value === undefined ? '' : `;${key}=${Math.min(value, MAX_INTEGER)}`;
}

/** A String of RFC 9651. It has no characters but ASCII's printable ones: others are percent-encoded. */
function quoted(name: string): string {
  const ascii = name.toWellFormed().replaceAll(/[^\x20-\x7e]/gu, (character) => encodeURIComponent(character));
  return `"${ascii.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
}
