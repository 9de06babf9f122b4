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

/** A member of `RateLimit-Policy`: a String of RFC 9651 with parameters, as draft 11 of the IETF's "RateLimit header fields for HTTP" has it. */
export function policyMember({ name, quota, windowSeconds }: QuotaPolicy): string {
  return quoted(name) + parameter('q', quota) + parameter('w', windowSeconds);
}

/** A member of `RateLimit`, by the same draft. */
export function limitMember({ name, remaining, resetSeconds }: ServiceLimit): string {
  return quoted(name) + parameter('r', remaining) + parameter('t', resetSeconds);
}

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
