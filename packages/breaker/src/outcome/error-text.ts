const MAX_CAUSES = 3;

/**
 * What to store of something thrown: its message and those of its causes (`fetch failed` says nothing, its cause says
 * ECONNREFUSED), masked and truncated. Never throws, whatever was thrown.
 */
export function errorText(error: unknown): string {
  try {
    return maskSecrets(texts(error).join(': '));
  } catch {
    return 'an error whose message cannot be read';
  }
}

function texts(error: unknown): string[] {
  const found = [textOf(error)];
  let cause = causeOf(error);
  for (let depth = 0; depth < MAX_CAUSES && cause !== undefined; depth += 1) {
    found.push(textOf(cause));
    cause = causeOf(cause);
  }
  return found.filter((text) => text !== '');
}

function causeOf(error: unknown): unknown {
  return error instanceof Error ? error.cause : undefined;
}

function textOf(error: unknown): string {
  if (typeof error === 'string') return error;
  if (!(error instanceof Error)) return textMember(error, 'message') || (JSON.stringify(error) ?? typeof error);
  // An AggregateError, as of a connection tried on several addresses, has its text in the errors it holds.
  if (error.message === '' && error instanceof AggregateError) return error.errors.map(textOf).join(', ');
  return error.message === '' ? error.name : error.message;
}

/** The longest text that is kept of an error's message, in UTF-16 code units. */
const MAX_MESSAGE_LENGTH = 500;

/**
 * Patterns run over this much at most: a message may be a whole HTML page, and nothing after the kept 500 characters is
 * worth its time.
 */
const MAX_READ = 4_000;
const MASK = '***';

const PRIVATE_KEY = /-----BEGIN [^-]{0,40}PRIVATE KEY-----[\s\S]*?(?:-----END [^-]{0,40}PRIVATE KEY-----|$)/g;
/** A password may hold a slash; what looks like a port and a path is none. */
const URL_USER = /\b([a-z][a-z0-9+.-]{0,20}:\/\/)(?:[^\s/]*@|[^\s/:@]{1,200}:(?!\d{1,5}\/)[^\s@]{1,200}@)/gi;
const LINES = /\b((?:(?:proxy-)?authorization|(?:set-)?cookie)\\{0,3}["']?\s{0,5}(?:=>|[=:])\s{0,5})[^\r\n]+/gi;
const SCHEME = /\b(bearer|basic|apikey)\s{1,5}[\w.~+/=-]{6,}/gi;
const USER_OPTION = /(\s-u|--user)([\s=]{1,5})[^\s:]{1,100}:\S+/g;
const EMAIL = /[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}/g;
/** Public addresses without a port: of a person. Those of a connection that failed have one, and are of use. */
const IPV4 =
  /(?<![\d.])(?!(?:0|10|127|192\.168|169\.254|172\.(?:1[6-9]|2\d|3[01]))\.)(?:\d{1,3}\.){3}\d{1,3}(?![\d.]|:\d)/g;
const IPV6 = /(?<![\w:])[23][\da-f]{3}:(?:[\da-f]{0,4}:){1,6}[\da-f]{0,4}(?![\w:])/gi;
const JSON_WEB_TOKEN = /\beyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)?/g;
const KNOWN_PREFIX =
  /\b(?:[spr]k[-_][\w-]{8,}|(?:hf|npm)_\w{16,}|(?:whsec|sb_secret|sb_publishable)_[\w+/=-]{8,}|A[KS]IA[A-Z0-9]{12,}|gh[opsur]_\w{16,}|github_pat_\w{16,}|xox[abeprs]-[\w-]{8,}|AIza[\w-]{20,}|SG\.[\w.-]{16,}|glpat-[\w-]{10,})/g;
/** What a value is called and what stands between: quotes that may be escaped, as in JSON within JSON; `=`, `:`, `=>`, `%3D`. */
const NAME = String.raw`[\w-]{0,40}(?:key|secret|token|password|passwd|passphrase|pwd|credentials?|signature|\bsig|session|(?<![a-z])(?:auth|pass|otp|pin)|(?<=[?&])code)`;
const BETWEEN = String.raw`\\{0,3}["']?\s{0,5}(?:=>|[=:]|%3[ad])\s{0,5}`;
const VALUE = String.raw`\\{1,3}["'][^"'\\]*(?:\\{1,3}["'])?|"[^"]*"?|'[^']*'?|[^\s&,;"'}\])\\]+`;
const NAMED = new RegExp(`(${NAME}${BETWEEN})(?:${VALUE})`, 'gi');
const HEX = /\b[\da-f]{32,}\b/gi;
const LONG = /[\w+/-]{32,}={0,2}/g;

/**
 * An error's message, fit to be stored: what looks like a secret (tokens, API keys, passwords, credentials in a URL,
 * private keys, long random text) or names a person (e-mail and public IP addresses) becomes `***`, and at most 500 characters are kept, never half a surrogate pair.
 * Better one harmless word masked than one key in a table.
 */
export function maskSecrets(text: string): string {
  const masked = readable(text)
    .replace(PRIVATE_KEY, MASK)
    .replace(URL_USER, `$1${MASK}@`)
    .replace(LINES, `$1${MASK}`)
    .replace(SCHEME, `$1 ${MASK}`)
    .replace(USER_OPTION, `$1$2${MASK}`)
    .replace(JSON_WEB_TOKEN, MASK)
    .replace(KNOWN_PREFIX, MASK)
    .replace(NAMED, `$1${MASK}`)
    .replace(EMAIL, MASK)
    .replace(IPV4, MASK)
    .replace(IPV6, MASK)
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

/*
 * Reading what a function gave or threw. It may be anything: a stub whose traps throw, a getter that fails. Whatever can
 * not be read counts as absent; nothing here throws.
 */

/** Most errors that are looked at below each other. */
const MAX_LINKS = 6;

/** A member of `value`; undefined when it has none, or when reading it throws. */
export function member(value: unknown, key: string): unknown {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return undefined;
  try {
    return Reflect.get(value, key);
  } catch {
    return undefined;
  }
}

/** A member that is a text; otherwise empty. */
export function textMember(value: unknown, key: string): string {
  const found = member(value, key);
  return typeof found === 'string' ? found : '';
}

/** Whether `value instanceof type`; false when asking throws. */
export function isInstance<T>(value: unknown, type: abstract new (...args: never[]) => T): value is T {
  try {
    return value instanceof type;
  } catch {
    return false;
  }
}

/** An error and those below it: code in between wraps what it doesn't know, as a cause or as the last of several tries. */
export function linksOf(error: unknown): readonly unknown[] {
  const links: unknown[] = [error];
  for (let link = below(error); link !== undefined && links.length < MAX_LINKS; link = below(link)) {
    if (links.includes(link)) break;
    links.push(link);
  }
  return links;
}

function below(error: unknown): unknown {
  for (const key of ['cause', 'lastError', 'originalError', 'original', 'nativeError', 'networkError']) {
    const found = member(error, key) ?? undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

/** A promise where a value was expected: its outcome is ignored, and its rejection must not end the process. */
export function forget(value: unknown): void {
  if (!isInstance(value, Promise)) return;
  value.catch(() => undefined);
}
