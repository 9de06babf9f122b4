import { createHash, randomUUID } from 'node:crypto';
import { DEFAULT_SHARDS, deadlines, defineScript, type RedisClient, shardOf, shardTag } from '@spillway/redis';
import type { HonoRequest } from 'hono';
import { fieldProblem, problem, toProblem } from '../problems.ts';
import { claim as claimLua, settle as settleLua } from '../scripts.generated.ts';
import type { Principal } from '../openapi/api-app.ts';

/*
 * `Idempotency-Key`, as the IETF's draft has it (draft-ietf-httpapi-idempotency-key-header). A request with a key takes the key in
 * Redis by a claim, is carried out, and puts its answer in the claim's place. While the claim holds, another request with the key
 * gets 409; after that it gets the answer, until `ttlMs` are over. A process that dies between the charge and the answer leaves
 * a claim that ends by itself after `leaseMs`: only a retry that comes later than that is charged a second time.
 */

/** How answers are kept for retries. */
export interface IdempotencyOptions {
  /** How long an answer is kept, in ms: a retry within that gets it again. @default 600000 */
  readonly ttlMs?: number;
  /** How many bytes of Redis the answers of one `ttlMs` may take, all shards together. @default 134217728 */
  readonly maxBytes?: number;
  /** After how long a request without an answer counts as lost, in ms. @default 10000 */
  readonly leaseMs?: number;
}

/** A request that a client named. */
interface NamedRequest {
  readonly key: string;
  /** Keys of different principals are different keys. */
  readonly principal: Principal | undefined;
  /** All that makes it this request: its operation, its policy and its body. */
  readonly content: string;
}

/** What became of a request's claim. */
type Claimed =
  | { readonly kind: 'mine'; settle(answer: string | undefined): Promise<boolean> }
  | { readonly kind: 'answered'; readonly answer: string }
  | { readonly kind: 'in-progress' }
  | { readonly kind: 'other-request' }
  | { readonly kind: 'full'; readonly retryAfterMs: number }
  /** Redis did not say. */
  | { readonly kind: 'unknown' };

/** Knows which requests were answered, and how. */
export interface Answers {
  claim(request: NamedRequest): Promise<Claimed>;
}

const claimScript = defineScript(claimLua, (reply) => (Buffer.isBuffer(reply) ? reply.toString() : undefined));
const settleScript = defineScript(settleLua, (reply) => reply === 1);

/** Redis has so long for each of the two commands, in ms: as long as for a decision. */
const DEADLINE_MS = 100;

/** Keeps answers in Redis, in the shards that windows are in. */
export function redisAnswers(
  client: RedisClient,
  options: IdempotencyOptions & { readonly shards?: number | undefined; readonly namespace?: string } = {},
): Answers {
  const { ttlMs = 600_000, maxBytes = 128 * 1024 ** 2, leaseMs = 10_000, shards = DEFAULT_SHARDS, namespace } = options;
  const deadlineOf = deadlines(client, DEADLINE_MS);
  const ask = <Reply>(key: string, work: () => Promise<Reply>): Promise<{ readonly reply: Reply } | undefined> =>
    new Promise((resolve) => {
      deadlineOf(key).run(
        work,
        (reply) => resolve({ reply }),
        () => resolve(undefined),
      );
    });
  return {
    async claim({ key, principal, content }) {
      if (principal === undefined) throw new Error('an Idempotency-Key needs a guarded route');
      const name = hash(JSON.stringify([principal.kind, principal.id, key]));
      const tag = shardTag(shardOf(name, shards), namespace);
      const keys = [`${tag}:idem:${name}`, `${tag}:idem-bytes`];
      const print = hash(content);
      const mine = `c${print}${randomUUID()}`;
      const asked = await ask(tag, async () =>
        claimScript.run(client, keys, [mine, leaseMs, Math.ceil(maxBytes / shards)]),
      );
      if (asked === undefined) return { kind: 'unknown' };
      if (asked.reply !== undefined) return heldBy(asked.reply, print);
      return {
        kind: 'mine',
        settle: async (answer) => {
          const kept = answer === undefined ? '' : `a${print}${answer}`;
          const settled = await ask(tag, async () => settleScript.run(client, keys, [mine, kept, ttlMs]));
          return settled?.reply === true;
        },
      };
    },
  };
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}

/** What an entry says to another request: its first letter, the content's hash, and the answer. */
function heldBy(held: string, print: string): Claimed {
  if (held.startsWith('f')) return { kind: 'full', retryAfterMs: Math.max(0, Number(held.slice(1))) };
  if (!held.startsWith(print, 1)) return { kind: 'other-request' };
  if (held.startsWith('c')) return { kind: 'in-progress' };
  return { kind: 'answered', answer: held.slice(1 + print.length) };
}

const HEADER = 'Idempotency-Key';

/** In quotes, as the draft has it, or bare, as most clients send it. */
const quoted = /^"(?<text>(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$/u;
const bare = /^[\x21\x23-\x2b\x2d-\x7e]+$/u;
const MOST_CHARACTERS = 255;

/** The request's key; undefined when it has none, and a refusal when it can't be one. */
export function idempotencyKeyOf(req: HonoRequest): string | Response | undefined {
  const header = req.header(HEADER);
  if (header === undefined) return undefined;
  const text = bare.test(header) ? header : quoted.exec(header)?.groups?.['text']?.replaceAll(/\\(.)/gu, '$1');
  if (text !== undefined && text !== '' && text.length <= MOST_CHARACTERS) return text;
  const detail = `must be one name of 1 to ${MOST_CHARACTERS} printable ASCII characters, in quotes if it has spaces, commas or quotes`;
  return fieldProblem('invalid-request', HEADER, detail);
}

/** An answer, and what a retry with the key would get. */
interface OnceAnswer {
  readonly json: string;
  readonly headers: { readonly 'Idempotency-Result': 'stored' | 'replayed' | 'not-stored' };
}

/**
 * Carries a request out unless it was before, and gives its answer or that of the first time. Where Redis doesn't say whether it
 * was, it is carried out, and `Idempotency-Result: not-stored` tells that a retry would be charged again.
 */
export async function once(
  answers: Answers | undefined,
  request: NamedRequest,
  work: () => Promise<string>,
): Promise<OnceAnswer | Response> {
  const claimed = (await answers?.claim(request)) ?? { kind: 'unknown' };
  switch (claimed.kind) {
    case 'mine':
      return carryOut(claimed, work);
    case 'unknown':
      return { json: await work(), headers: { 'Idempotency-Result': 'not-stored' } };
    case 'answered':
      return { json: claimed.answer, headers: { 'Idempotency-Result': 'replayed' } };
    case 'in-progress':
      return problem('request-in-progress', {}, { 'Retry-After': '1' });
    case 'other-request':
      return fieldProblem('idempotency-key-reused', HEADER, 'must be another one for another path, policy or body');
    default:
      return problem(
        'too-many-idempotency-keys',
        {},
        { 'Retry-After': String(Math.ceil(claimed.retryAfterMs / 1_000)) },
      );
  }
}

async function carryOut(
  { settle }: Extract<Claimed, { readonly kind: 'mine' }>,
  work: () => Promise<string>,
): Promise<OnceAnswer> {
  let json: string;
  try {
    json = await work();
  } catch (error) {
    // What was refused has charged nothing. After any other error it is not known: the claim stays until its end.
    if (toProblem(error).status < 500) await settle(undefined);
    throw error;
  }
  return { json, headers: { 'Idempotency-Result': (await settle(json)) ? 'stored' : 'not-stored' } };
}
