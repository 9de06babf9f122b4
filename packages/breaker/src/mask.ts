/** The longest text that is kept of an error's message, in UTF-16 code units. */
export const MAX_MESSAGE_LENGTH = 500;

/**
 * Patterns run over this much at most: a message may be a whole HTML page, and nothing after the kept 500 characters is
 * worth its time.
 */
const MAX_READ = 4_000;
const MASK = '***';

const PRIVATE_KEY = /-----BEGIN [^-]{0,40}PRIVATE KEY-----[\s\S]*?(?:-----END [^-]{0,40}PRIVATE KEY-----|$)/g;
const URL_USER = /\b([a-z][a-z0-9+.-]{0,20}:\/\/)[^\s/]*@/gi;
const AUTHORIZATION = /\b((?:proxy-)?authorization["']?\s{0,5}[=:]\s{0,5})[^\r\n]+/gi;
const SCHEME = /\b(bearer|basic)\s{1,5}[\w.~+/=-]{6,}/gi;
const JSON_WEB_TOKEN = /\beyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)?/g;
const KNOWN_PREFIX =
  /\b(?:[spr]k[-_][\w-]{8,}|A[KS]IA[A-Z0-9]{12,}|gh[opsur]_\w{16,}|github_pat_\w{16,}|xox[abeprs]-[\w-]{8,}|AIza[\w-]{20,}|SG\.[\w.-]{16,}|glpat-[\w-]{10,})/g;
const NAMED =
  /([\w-]{0,40}(?:key|secret|token|password|passwd|passphrase|pwd|credentials?|signature|\bsig|cookie|session)["']?\s{0,5}[=:]\s{0,5})(?:"[^"]*"?|'[^']*'?|[^\s&,;"'}\])]+)/gi;
const HEX = /\b[\da-f]{32,}\b/gi;
const LONG = /[\w+/-]{32,}={0,2}/g;

/**
 * An error's message, fit to be stored: what looks like a secret (tokens, API keys, passwords, credentials in a URL,
 * private keys, long random text) becomes `***`, and at most 500 characters are kept, never half a surrogate pair.
 * Better one harmless word masked than one key in a table.
 */
export function maskSecrets(text: string): string {
  const masked = readable(text)
    .replace(PRIVATE_KEY, MASK)
    .replace(URL_USER, `$1${MASK}@`)
    .replace(AUTHORIZATION, `$1${MASK}`)
    .replace(SCHEME, `$1 ${MASK}`)
    .replace(JSON_WEB_TOKEN, MASK)
    .replace(KNOWN_PREFIX, MASK)
    .replace(NAMED, `$1${MASK}`)
    .replace(HEX, MASK)
    .replace(LONG, (word) => (looksRandom(word) ? MASK : word));
  return truncated(masked);
}

/** The part of a masked text that is kept. */
export function truncated(text: string): string {
  return truncate(text, MAX_MESSAGE_LENGTH);
}

/** The part that patterns run over: without the last word, which the cut may have made too short to be recognised. */
function readable(text: string): string {
  const wellFormed = text.toWellFormed();
  if (wellFormed.length <= MAX_READ) return wellFormed;
  const cut = truncate(wellFormed, MAX_READ);
  const lastSpace = cut.lastIndexOf(' ');
  return lastSpace > 0 ? cut.slice(0, lastSpace) : cut;
}

/** Long words of digits and both cases are keys; paths, UUIDs and identifiers seldom mix all three. */
function looksRandom(word: string): boolean {
  return /\d/.test(word) && /[a-z]/.test(word) && /[A-Z]/.test(word);
}

function truncate(text: string, length: number): string {
  if (text.length <= length) return text;
  const last = text.charCodeAt(length - 1);
  const splitsPair = last >= 0xd8_00 && last <= 0xdb_ff;
  return text.slice(0, splitsPair ? length - 1 : length);
}
