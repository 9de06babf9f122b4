import { builtinModule } from '@spillway/redis/core';
import { bytesOf, wholeNumberWithin } from '../checks.ts';
import { checkMembers, LimiterInputError, shown } from '../errors.ts';
import { knownKeys } from './known-keys.ts';

/** What the identities of this package read of a request: a `Request` has it, and so has a `NodeRequest`. */
export interface RequestHeaders {
  readonly headers: Pick<Headers, 'get'>;
}

/**
 * Names the subject of a request; undefined when the request doesn't say who it is. Text that is ready at once is best
 * returned as it is: a promise costs every request a turn of the event loop's microtasks. A rejection fails the request,
 * but for an {@link UnusableIdentityError}.
 */
export type Identify<Req = Request> = (request: Req) => string | undefined | Promise<string | undefined>;

/** An {@link Identify} that also gets what a framework has of the request, such as Hono's context. */
export type IdentifyInContext<Req = Request> = (request: Req, context?: unknown) => ReturnType<Identify<Req>>;

/** An `identify` throws or rejects with it when what the request says of itself can't be used: the client gets 400. */
export class UnusableIdentityError extends Error {
  readonly code = 'unusable_identity';
  override readonly name = 'UnusableIdentityError';
  /** The header or part of the request that is wrong. */
  readonly field: string;
  /** What is wrong with it, as the client sees it. */
  readonly problem: string;

  constructor(field: string, problem: string) {
    super(`${field} ${problem}`);
    this.field = field;
    this.problem = problem;
  }
}

const ofHeadersAlone = new WeakSet<object>();

/**
 * Marks an identity that reads headers and the connection alone. On @hono/node-server it is given Node's own request:
 * a `Request` with its `Headers` would cost more than the decision.
 */
export function readsHeadersAlone<Identity extends object>(identify: Identity): Identity {
  ofHeadersAlone.add(identify);
  return identify;
}

/** Whether {@link readsHeadersAlone} marked it. */
export function isOfHeadersAlone(identify: object): identify is IdentifyInContext<RequestHeaders> {
  return ofHeadersAlone.has(identify);
}

/**
 * Asks one after the other and takes the first that knows; later ones aren't asked. It answers at once as long as those
 * it asks do. Each but the last must verify what it reads: a client that can make one up chooses whom to be counted as.
 * @example
 * ```ts
 * const identify = firstOf(byJwtSubject({ verify }), byIp({ trustedProxies: ['10.0.0.0/8'] }));
 * ```
 * @throws {LimiterInputError} at construction, without any or when one is no function.
 */
export function firstOf<Req = Request>(...identifies: readonly IdentifyInContext<Req>[]): IdentifyInContext<Req> {
  if (identifies.length === 0) throw new LimiterInputError('identifies', 'must be at least one function, not none');
  for (const identify of identifies) {
    if (typeof identify !== 'function') {
      throw new LimiterInputError('identifies', `must be functions, not ${shown(identify)}`);
    }
  }
  const first: IdentifyInContext<Req> = (request, context) => askFrom(identifies, 0, request, context);
  return identifies.every(isOfHeadersAlone) ? readsHeadersAlone(first) : first;
}

function askFrom<Req>(
  identifies: readonly IdentifyInContext<Req>[],
  from: number,
  request: Req,
  context: unknown,
): ReturnType<Identify<Req>> {
  for (const [index, identify] of identifies.entries()) {
    if (index < from) continue;
    const named = identify(request, context);
    if (typeof named === 'string') return named;
    if (named !== undefined) return orElse(named, () => askFrom(identifies, index + 1, request, context));
  }
  return undefined;
}

async function orElse(
  named: Promise<string | undefined>,
  next: () => string | undefined | Promise<string | undefined>,
): Promise<string | undefined> {
  return (await named) ?? next();
}

/** How {@link byApiKey} verifies keys. */
export interface ByApiKeyOptions {
  /**
   * Whether this key was given out and still holds. The request waits for it, so it needs a deadline of its own where it
   * asks the network; a rejection fails the request.
   */
  readonly verify: (key: string) => boolean | Promise<boolean>;
  /** How long, in ms, a key that was verified isn't asked about again; 0 asks each time. @default 60_000 */
  readonly cacheMs?: number;
}

/** No key that is given out is longer: 256 random bits are 64 hex digits. */
const MAX_KEY_BYTES = 512;

/** What verified keys that are remembered may take. */
const MAX_KNOWN_BYTES = 4 * 1024 * 1024;

const UNKNOWN = 'api_key:unknown';

/**
 * The subject by the `X-API-Key` header: `api_key:` and the first 32 hex digits of the key's SHA-256. The key itself gets
 * to `verify` and nowhere else: not into Redis, logs or the audit tables. All keys that `verify` doesn't
 * know are one subject, `api_key:unknown`, so that an invented key gets no fresh window. A request without a key
 * has no identity; a key of more than 512 bytes gets 400.
 * @example
 * ```ts
 * const identify = byApiKey({ verify: async (key) => customers.has(await digest(key)) });
 * ```
 * @throws {LimiterInputError} at construction, naming the option that can't be used.
 */
export function byApiKey(
  options: ByApiKeyOptions,
): (request: RequestHeaders) => string | undefined | Promise<string | undefined> {
  checkMembers('options', options ?? {}, ['verify', 'cacheMs']);
  const { verify, cacheMs = 60_000 } = options ?? {};
  if (typeof verify !== 'function') {
    throw new LimiterInputError(
      'verify',
      `must be a function that returns whether a key is valid, not ${shown(verify)}`,
    );
  }
  wholeNumberWithin('cacheMs', cacheMs, 0, 86_400_000);
  // Only keys that were verified: made-up ones can't push them out.
  const known = knownKeys(cacheMs, MAX_KNOWN_BYTES);

  const keep = (key: string, subject: string): string => {
    known.set(key, subject);
    return subject;
  };
  const named = (key: string, valid: unknown): string | Promise<string> => {
    if (valid !== true) return UNKNOWN;
    const subject = subjectOfKey(key);
    return typeof subject === 'string' ? keep(key, subject) : subject.then((later) => keep(key, later));
  };

  return readsHeadersAlone((request: RequestHeaders) => {
    const key = request.headers.get('x-api-key');
    if (key === null || key === '') return undefined;
    const subject = known.get(key);
    if (subject !== undefined) return subject;
    if (bytesOf(key) > MAX_KEY_BYTES) {
      throw new UnusableIdentityError('X-API-Key', `must be at most ${MAX_KEY_BYTES} bytes`);
    }
    const valid = verify(key);
    return typeof valid === 'boolean' ? named(key, valid) : Promise.resolve(valid).then((answer) => named(key, answer));
  });
}

const nodeCrypto = builtinModule('node:crypto');

/** `api_key:` and the first 32 hex digits of a key's SHA-256: at once on Node, Deno and Bun, later on runtimes that have web crypto alone. */
function subjectOfKey(key: string): string | Promise<string> {
  if (nodeCrypto !== undefined) {
    const digest = nodeCrypto.createHash('sha256').update(key).digest().toString('hex', 0, 16);
    // Copied, since V8 keeps joined texts as their parts, and reads them more slowly each time.
    return Buffer.from(`api_key:${digest}`).toString('latin1');
  }
  return crypto.subtle.digest('SHA-256', new TextEncoder().encode(key)).then((digest) => {
    const bytes = Array.from(new Uint8Array(digest, 0, 16), (byte) => byte.toString(16).padStart(2, '0'));
    return `api_key:${bytes.join('')}`;
  });
}

/** What {@link byJwtSubject} reads of a verified token. */
export interface JwtClaims {
  /** Who the token is about. */
  readonly sub?: unknown;
  /** The issuer: the same `sub` of another issuer is another subject. */
  readonly iss?: unknown;
}

/** How {@link byJwtSubject} checks tokens. */
export interface ByJwtSubjectOptions {
  /**
   * Resolves to the claims of a token whose signature, issuer, audience and expiry it has checked; rejects or throws for
   * any other. The request waits for it, so it needs a deadline of its own where it asks the network.
   */
  readonly verify: (token: string) => JwtClaims | Promise<JwtClaims>;
}

/** The credentials of RFC 6750, `Bearer` and a b64token; the scheme's case doesn't matter (RFC 9110). */
const BEARER = /^bearer +([\w.~+/-]+=*)$/i;

/**
 * The subject by the verified token of `Authorization: Bearer …`: `jwt:ISS|SUB` of its claims, or `jwt:SUB` of one without
 * an issuer, so that user 1 of one issuer isn't user 1 of another. No token, one that doesn't
 * verify and one without `sub` give no identity; nor does any while the verifier fails. The token is passed to
 * `verify` and nowhere else: neither it nor the verifier's error is kept or reported.
 * @example With jose
 * ```ts
 * const keys = createRemoteJWKSet(new URL('https://issuer.example/.well-known/jwks.json'), { timeoutDuration: 1000 });
 * const identify = byJwtSubject({
 *   verify: async (token) => (await jwtVerify(token, keys, { issuer: 'https://issuer.example', audience: 'api' })).payload,
 * });
 * ```
 * @throws {LimiterInputError} at construction, when `verify` is no function.
 */
export function byJwtSubject(options: ByJwtSubjectOptions): (request: RequestHeaders) => Promise<string | undefined> {
  checkMembers('options', options, ['verify']);
  const { verify } = options;
  if (typeof verify !== 'function') throw new LimiterInputError('verify', `must be a function, not ${shown(verify)}`);
  return readsHeadersAlone(async (request: RequestHeaders) => {
    const token = BEARER.exec(request.headers.get('authorization') ?? '')?.[1];
    if (token === undefined) return undefined;
    try {
      return subjectOf(await verify(token));
    } catch {
      return undefined;
    }
  });
}

// The first bar ends the issuer, and a subject without one has none: no two pairs of claims make one subject.
function subjectOf({ sub, iss }: JwtClaims): string | undefined {
  if (typeof sub !== 'string' || sub === '') return undefined;
  if (iss === undefined || iss === null) return `jwt:${withoutBar(sub)}`;
  return typeof iss === 'string' ? `jwt:${withoutBar(iss)}|${sub}` : undefined;
}

function withoutBar(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('|', '%7C');
}
