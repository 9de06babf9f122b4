/**
 * Why Redis did not do what it was asked. The first group is an outage, which passes; the second is a fault of the
 * installation, which stays until an operator fixes it.
 *
 * - `not_connected`: there is no connection: a wrong URL, a server that is down, a certificate that is refused.
 * - `no_answer`: no answer within the deadline.
 * - `connection_lost`: the connection ended before the answer came.
 * - `read_only`: the server can't write: a master that was demoted (`READONLY`, `MASTERDOWN`) or has too few replicas.
 * - `loading`, `busy`: the server reads its data, or runs another script.
 * - `out_of_memory`: `maxmemory` is reached.
 * - `not_persisting`: the server can't save to its disk and refuses writes (`MISCONF`).
 * - `cluster_down`: the Cluster doesn't serve the slot now.
 * - `error_answer`: another error answer.
 * - `authentication`: a wrong or missing user or password.
 * - `access_denied`: an ACL rule or the protected mode denies a command, a key or a channel.
 * - `unknown_command`: the server, or a proxy in front of it, doesn't know the command.
 * - `script_error`: a script of Spillway's failed, or is not the expected one.
 * - `shards_disagree`: other processes have another number of `shards`: one subject has two windows, and events may lie
 *   where no worker looks.
 * - `client_missing`: `redis` is a URL, and the package ioredis, which opens it, is not installed.
 * - `client_in_use`: the client listens to channels or MONITOR, where it can't decide.
 * - `cluster_client_needed`: the server is a node of a Cluster, and the client asks it alone (`MOVED`).
 * - `database_refused`: the server refuses the database of the connection (SELECT), whose commands would go to database 0.
 * - `client_ended`: the owner of the client ended it.
 * - `client_error`: the request could not be encoded, or its answer not be read.
 */
export type RedisFaultCode =
  | 'not_connected'
  | 'no_answer'
  | 'connection_lost'
  | 'read_only'
  | 'loading'
  | 'busy'
  | 'out_of_memory'
  | 'not_persisting'
  | 'cluster_down'
  | 'error_answer'
  | 'authentication'
  | 'access_denied'
  | 'unknown_command'
  | 'script_error'
  | 'shards_disagree'
  | 'client_missing'
  | 'client_in_use'
  | 'cluster_client_needed'
  | 'database_refused'
  | 'client_ended'
  | 'client_error';

/** Whether a fault passes by itself. */
export type RedisFaultKind = 'outage' | 'installation';

const MEANINGS: Readonly<Record<RedisFaultCode, readonly [RedisFaultKind, string]>> = {
  not_connected: ['outage', 'Redis cannot be reached'],
  no_answer: ['outage', 'Redis did not answer in time'],
  connection_lost: ['outage', 'the connection to Redis ended before the answer came'],
  read_only: ['outage', 'this Redis cannot write: a replica, or a master without enough replicas'],
  loading: ['outage', 'Redis is loading its data'],
  busy: ['outage', 'Redis is busy with a script'],
  out_of_memory: ['outage', 'Redis has reached its maxmemory'],
  not_persisting: ['outage', 'Redis cannot save to its disk and refuses to write'],
  cluster_down: ['outage', 'the Redis Cluster does not serve this slot'],
  error_answer: ['outage', 'Redis answered with an error'],
  authentication: ['installation', 'Redis refuses the user or password of the connection'],
  access_denied: [
    'installation',
    'the Redis user lacks a permission (commands, keys or channels; docs/operations.md has the ACL rule)',
  ],
  unknown_command: ['installation', 'the server, or a proxy in front of it, does not know a command that is needed'],
  script_error: ['installation', 'a script of Spillway failed in Redis'],
  shards_disagree: [
    'installation',
    'processes on this Redis have different numbers of shards: set the same number in all of them, or separate them by namespace',
  ],
  client_missing: [
    'installation',
    'opening a Redis URL needs the package ioredis, which is not installed: run npm install ioredis, or pass a client of node-redis',
  ],
  client_in_use: [
    'installation',
    'the Redis client subscribes or monitors and can do nothing else: give Spillway one of its own (client.duplicate())',
  ],
  cluster_client_needed: [
    'installation',
    'this Redis is a node of a Cluster, and the client asks it alone: use a Cluster client, or a redis-cluster:// URL',
  ],
  database_refused: [
    'installation',
    'Redis refuses the database of the connection: many hosted servers and every Cluster have only database 0',
  ],
  client_ended: ['installation', 'the Redis client was ended by its owner'],
  client_error: ['installation', 'the request could not be sent, or its answer could not be read'],
};

/**
 * A fault between Spillway and Redis. It contains no argument, key, user name or address: an error answer can quote
 * them, so only its first word is repeated. One object stands for all faults with the same code and detail.
 */
export class RedisFault extends Error {
  override readonly name: string = 'RedisFault';
  readonly code: RedisFaultCode;
  /** `installation`: it stays until an operator fixes it. */
  readonly kind: RedisFaultKind;
  /**
   * The first word of Redis' error answer, the command that it doesn't know, or the code of the system's error, such as
   * `ECONNREFUSED`.
   */
  readonly detail?: string;

  constructor(code: RedisFaultCode, detail?: string) {
    const [kind, meaning] = MEANINGS[code];
    super(detail === undefined ? meaning : `${meaning} (${detail})`);
    this.code = code;
    this.kind = kind;
    if (detail !== undefined) this.detail = detail;
  }
}

const ANSWERS: Readonly<Record<string, RedisFaultCode>> = {
  READONLY: 'read_only',
  MASTERDOWN: 'read_only',
  NOREPLICAS: 'read_only',
  LOADING: 'loading',
  BUSY: 'busy',
  OOM: 'out_of_memory',
  MISCONF: 'not_persisting',
  CLUSTERDOWN: 'cluster_down',
  TRYAGAIN: 'cluster_down',
  MOVED: 'cluster_down',
  ASK: 'cluster_down',
  WRONGPASS: 'authentication',
  NOAUTH: 'authentication',
  NOPERM: 'access_denied',
  DENIED: 'access_denied',
  CROSSSLOT: 'script_error',
  WRONGTYPE: 'script_error',
};

// How `ERR …` reads on; the first that fits.
const PLAIN_ERRORS: readonly (readonly [RegExp, RedisFaultCode])[] = [
  [/ACL failure|user executing the script can't|no permissions/iu, 'access_denied'],
  [/invalid password|without any password|AUTH/u, 'authentication'],
  [/user_script|(?:running|compiling) script|Lua/u, 'script_error'],
  [/allowed in this context/u, 'client_in_use'],
  [/(?:unknown|unsupported) (?:sub)?command|not supported|not allowed/iu, 'unknown_command'],
];

/** Errors of our own side: a request that can't be encoded, a reply of another shape. */
const UNREADABLE: ReadonlySet<string> = new Set(['TypeError', 'RangeError', 'SyntaxError', 'UnexpectedReplyError']);

const MAX_KNOWN = 200;
const known = new Map<string, RedisFault>();

/** The fault of a code, one object for all. */
export function faultOf(code: RedisFaultCode, detail?: string): RedisFault {
  const name = `${code} ${detail ?? ''}`;
  const before = known.get(name);
  if (before !== undefined) return before;
  const fault = new RedisFault(code, detail);
  if (known.size < MAX_KNOWN) known.set(name, fault);
  return fault;
}

/**
 * The fault that an error of a Redis client describes, for each version of the client, and also if a script or the server
 * wrapped it.
 */
export function redisFault(error: unknown): RedisFault {
  if (error instanceof RedisFault) return error;
  if (!(error instanceof Error)) return faultOf('connection_lost');
  if (isAnswer(error)) return isOfSelect(error) ? faultOf('database_refused') : faultOfReply(error.message);
  // A Cluster client quotes the error of the node that it asked last, and fetch what it met.
  const lastNodeError = 'lastNodeError' in error ? error.lastNodeError : undefined;
  const code = 'code' in error ? error.code : undefined;
  if (lastNodeError !== undefined) return redisFault(lastNodeError);
  if (error.cause instanceof Error && QUOTES_ITS_CAUSE.test(error.message)) return redisFault(error.cause);
  if (NEVER_CONNECTED.test(error.message)) return faultOf('not_connected');
  if (IN_USE.test(error.message)) return faultOf('client_in_use');
  const answer = /Redirections?\..*ReplyError: (.*)/isu.exec(error.message)?.[1];
  if (answer !== undefined) return faultOfAnswer(answer);
  if (typeof code === 'string' && /^[A-Z][A-Z0-9_]{2,60}$/u.test(code)) {
    const isOurs = code.startsWith('ERR_') && (error instanceof TypeError || error instanceof RangeError);
    return faultOf(isOurs ? 'client_error' : 'not_connected', code);
  }
  if (UNREADABLE.has(error.name)) return faultOf('client_error', error.name);
  return faultOf('connection_lost');
}

/** Errors of node-redis and of fetch that carry another one, which says more. */
const QUOTES_ITS_CAUSE = /^(?:Too many Cluster redirections|fetch failed|(?:Master|Replica|Sentinel) Client \(.*)/su;

/** Errors of node-redis without a code that say why there is no connection. */
const NEVER_CONNECTED = /^(?:Connection timeout|All the root nodes are unavailable)$/u;

/** What ioredis rejects a command with that its connection can't send in its mode. */
const IN_USE = /^Connection (?:in subscriber|is in monitoring) mode/u;

/** ioredis says which command an answer was to. It selects the database when it connects, and goes on without. */
function isOfSelect(error: Error): boolean {
  const command: unknown = 'command' in error ? error.command : undefined;
  return typeof command === 'object' && command !== null && 'name' in command && command.name === 'select';
}

/** Classes in which node-redis wraps an error answer. A bundler may rename them: then the text tells. */
const ANSWER_CLASSES: ReadonlySet<string> = new Set(['ErrorReply', 'SimpleError', 'BlobError']);

/** An error answer: ioredis names it, node-redis has classes for it, and its text begins with a word of the protocol. */
function isAnswer(error: Error): boolean {
  if (error.name === 'ReplyError') return true;
  if (error.name !== 'Error' || 'code' in error) return false;
  return ANSWER_CLASSES.has(error.constructor.name) || /^[A-Z]{3,30} /u.test(error.message);
}

/** True for an error that Redis sent, and for an answer that can't be read; false when the connection was lost. */
export function isReplyError(error: unknown): boolean {
  return error instanceof Error && (isAnswer(error) || error.name === 'UnexpectedReplyError');
}

/** ioredis' `reconnectOnError`: true for the answer of a server that can't write, such as a demoted master. */
export function cannotWrite(error: unknown): boolean {
  return redisFault(error).code === 'read_only';
}

/** The answer of a server to the client itself. A Cluster client follows `MOVED`, and names it when it gives up. */
function faultOfReply(message: string): RedisFault {
  return message.startsWith('MOVED ') ? faultOf('cluster_client_needed') : faultOfAnswer(message);
}

/** An error answer begins with a word; old servers put what a script met behind a sentence of their own. */
function faultOfAnswer(message: string): RedisFault {
  const word = /^(?:ERR )?(?:Error running script .*? -)?([A-Z]{2,30})\b/su.exec(message)?.[1] ?? 'ERR';
  const code = ANSWERS[word];
  if (code !== undefined) return faultOf(code, word);
  const [, plain = 'error_answer'] = PLAIN_ERRORS.find(([pattern]) => pattern.test(message)) ?? [];
  if (plain === 'access_denied') return faultOf(plain, deniedDetail(message));
  return faultOf(plain, plain === 'unknown_command' ? (unknownCommand(message) ?? word) : word);
}

/** The command, where the answer names it. */
function unknownCommand(message: string): string | undefined {
  return /(?:unknown|unsupported) (?:sub)?command[ :]+[`'"]?([a-z]{2,20})\b/iu.exec(message)?.[1]?.toUpperCase();
}

/** Which right is missing, where the answer says so without naming a key. */
function deniedDetail(message: string): string {
  return /channel/iu.test(message) ? 'channel' : 'ERR';
}
