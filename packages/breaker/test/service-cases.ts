import { readdirSync, readFileSync } from 'node:fs';
import { coded, type Given, Named, threw } from './outcome-givens.ts';

function caught(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    return error;
  }
}

const answer = (status: number, headers: Record<string, string> = {}): Response =>
  new Response(null, { status, headers });

/** As graphql-request, Apollo Client 3 and 4 and urql throw it. */
const graphql = (code: string): Given[] => {
  const errors = [{ message: 'refused', extensions: { code } }];
  return threw(
    new Named('Error', { response: { status: 200, errors, headers: new Headers() }, request: {} }),
    new Named('ApolloError', { graphQLErrors: errors, networkError: null }),
    new Named('CombinedGraphQLErrors', { errors }),
    new Named('CombinedError', { graphQLErrors: errors, response: { status: 200 } }),
  );
};

/** As Sequelize wraps what a driver threw. */
const sequelize = (name: string, original?: Error): Error =>
  new Named(name, original && { parent: original, original });

/** GitHub's headers: its own clock, how many requests are left, and when its quota begins again. */
const ofGithub = (status: number, left: number): Given[] => {
  const date = 'Sun, 06 Nov 2022 08:49:37 GMT';
  const reset = Date.parse(date) / 1_000 + 20;
  const headers = { date, 'x-ratelimit-remaining': String(left), 'x-ratelimit-reset': String(reset) };
  return [
    { gave: new Response(null, { status, headers }) },
    ...threw(new Named('HttpError', { status, response: { status, headers } })),
  ];
};
const pgError = (code: string): Error => coded(code, { severity: 'ERROR' });
const reply = (message: string): Given[] =>
  threw(new Named('ReplyError', { command: {} }, message), new Named('SimpleError', {}, message));

/** Cases of clients whose errors have no HTTP status: databases, file servers, directories. */
export const serviceCases: Readonly<Record<string, () => readonly Given[]>> = {
  'MinIO: `S3Error`, `NoSuchKey`': () =>
    threw(new Named('S3Error', { code: 'NoSuchKey', amzRequestid: 'r' }), new Named('S3Error', { code: 'NotFound' })),
  'MinIO: `S3Error`, `InternalError`': () =>
    threw(new Named('S3Error', { code: 'InternalError' }), new Named('S3Error', { code: 'XMinioStorageFull' })),
  "Node's files: `ENOENT`: no such file": () =>
    threw(
      caught(() => readFileSync('/nowhere/at/all')),
      caught(() => readdirSync('/nowhere/at/all')),
    ),
  "Node's files: `ENOSPC`, `EIO`": () =>
    threw(coded('ENOSPC', { path: '/f', syscall: 'write' }), coded('EIO', { path: '/f', syscall: 'read' })),
  'basic-ftp, ssh2: `550`, `ENOENT`: no such file': () =>
    threw(
      new Named('FTPError', { code: 550 }),
      coded('ENOENT', { custom: true }),
      Object.assign(new Error('No such file'), { code: 2 }),
    ),
  'basic-ftp, ssh2: `421`, `530`, `ECONNRESET`': () =>
    threw(
      new Named('FTPError', { code: 421 }),
      new Named('FTPError', { code: 530 }),
      coded('ECONNRESET', { custom: true }),
    ),
  'ldapts, ldapjs: `InvalidCredentialsError`, `NoSuchObjectError`': () =>
    threw(
      new Named('InvalidCredentialsError', { code: 49 }),
      new Named('NoSuchObjectError', { code: 32, lde_message: 'm' }),
    ),
  'ldapts, ldapjs: `BusyError`, `UnavailableError`': () =>
    threw(new Named('BusyError', { code: 51 }), new Named('UnavailableError', { code: 52 })),
  'MongoDB: `11000`: a unique index': () =>
    threw(
      new Named('MongoServerError', { code: 11_000 }),
      new Named('MongoBulkWriteError', { code: 11_000 }),
      new Named('MongoServerError', { code: 121 }),
    ),
  'MongoDB: `10107`: not the primary': () =>
    threw(
      new Named('MongoServerError', { code: 10_107 }),
      new Named('MongoServerSelectionError'),
      new Named('MongoNetworkError'),
    ),
  'MongoDB: `50`: `maxTimeMS`': () => threw(new Named('MongoServerError', { code: 50 })),
  'mysql2: `1364`, `3819`: no default value, a check constraint': () =>
    threw(
      coded('ER_NO_DEFAULT_FOR_FIELD', { sqlState: 'HY000', errno: 1364 }),
      coded('ER_CHECK_CONSTRAINT_VIOLATED', { sqlState: 'HY000', errno: 3819 }),
    ),
  "mysql2: `1226`: the user's limit of connections": () =>
    threw(coded('ER_USER_LIMIT_REACHED', { sqlState: '42000', errno: 1226 })),
  'mysql2: `3024`: `max_execution_time`': () => threw(coded('ER_QUERY_TIMEOUT', { sqlState: 'HY000', errno: 3024 })),
  'mssql: `2627`: a unique constraint': () => threw(coded('EREQUEST', { number: 2627, class: 14, state: 1 })),
  'mssql: `40501`: busy': () =>
    threw(
      coded('EREQUEST', { number: 40_501, class: 16 }),
      coded('EREQUEST', { number: 823, class: 24 }),
      coded('ESOCKET'),
    ),
  'mssql: `ETIMEOUT`': () => threw(coded('ETIMEOUT')),
  'SQLite, oracledb: `SQLITE_CONSTRAINT_UNIQUE`, `ORA-00001`': () =>
    threw(coded('SQLITE_CONSTRAINT_UNIQUE'), coded('SQLITE_CONSTRAINT'), coded('ORA-00001', { errorNum: 1 })),
  'SQLite, oracledb: `SQLITE_IOERR`, `ORA-12514`': () =>
    threw(coded('SQLITE_IOERR'), coded('SQLITE_FULL'), coded('ORA-12514', { errorNum: 12_514 })),
  'tRPC: `NOT_FOUND`': () => threw(new Named('TRPCClientError', { data: { code: 'NOT_FOUND', httpStatus: 404 } })),
  'tRPC: `INTERNAL_SERVER_ERROR`': () =>
    threw(new Named('TRPCClientError', { data: { code: 'INTERNAL_SERVER_ERROR', httpStatus: 500 } })),
  'Elasticsearch, OpenSearch: `ResponseError`, 404': () =>
    threw(new Named('ResponseError', { meta: { statusCode: 404, headers: {} } })),
  'Firebase: `auth/user-not-found`, `messaging/registration-token-not-registered`': () =>
    threw(
      coded('auth/user-not-found', { errorInfo: {} }),
      coded('messaging/registration-token-not-registered', { errorInfo: {} }),
      new Named('FirebaseError', { code: 'storage/object-not-found' }),
    ),
  'Firebase: `messaging/server-unavailable`, `app/invalid-credential`': () =>
    threw(coded('messaging/server-unavailable', { errorInfo: {} }), coded('app/invalid-credential', { errorInfo: {} })),
  'Firebase: `messaging/message-rate-exceeded`': () =>
    threw(
      coded('messaging/message-rate-exceeded', { errorInfo: {} }),
      new Named('FirebaseError', { code: 'auth/too-many-requests' }),
    ),
  'GraphQL: `BAD_USER_INPUT`, status 200': () => graphql('BAD_USER_INPUT'),
  'GraphQL: `INTERNAL_SERVER_ERROR`, status 200': () => graphql('INTERNAL_SERVER_ERROR'),
  'GraphQL: `THROTTLED`, status 200': () => graphql('THROTTLED'),
  'Sequelize, Objection: a unique constraint, a validation': () =>
    threw(
      sequelize('SequelizeUniqueConstraintError', pgError('23505')),
      sequelize('SequelizeUniqueConstraintError', coded('ER_DUP_ENTRY', { errno: 1062, sqlState: '23000' })),
      sequelize('SequelizeValidationError'),
      new Named('UniqueViolationError', { nativeError: pgError('23505'), client: 'postgres' }),
    ),
  'Sequelize, Objection: the database is away': () =>
    threw(
      sequelize('SequelizeConnectionRefusedError', coded('ECONNREFUSED')),
      sequelize('SequelizeDatabaseError', pgError('53300')),
      new Named('DBError', { nativeError: pgError('57P01') }),
    ),
  'Mongoose, TypeORM: a value that its schema refuses, no such record': () =>
    threw(
      new Named('ValidationError', { errors: {}, _message: 'User validation failed' }),
      new Named('CastError', { kind: 'ObjectId', path: '_id', value: 'x' }),
      new Named('DocumentNotFoundError', { query: {} }),
      new Named('EntityNotFoundError', { criteria: {} }),
    ),
  'Redis clients: `WRONGTYPE`, `BUSYGROUP`, a syntax error': () => [
    ...reply('WRONGTYPE Operation against a key holding the wrong kind of value'),
    ...reply('BUSYGROUP Consumer Group name already exists'),
    ...reply('ERR syntax error'),
    ...reply('ERR value is not an integer or out of range'),
  ],
  'Redis clients: `LOADING`, `OOM`, `READONLY`, `NOAUTH`': () => [
    ...reply('LOADING Redis is loading the dataset in memory'),
    ...reply("OOM command not allowed when used memory > 'maxmemory'."),
    ...reply("READONLY You can't write against a read only replica."),
    ...reply('NOAUTH Authentication required.'),
    ...reply('ERR max number of clients reached'),
  ],
  "`node:sqlite`, Bun's `SQL`: a unique constraint": () =>
    threw(
      coded('ERR_SQLITE_ERROR', { errcode: 2067, errstr: 'constraint failed' }),
      new Named('PostgresError', { code: 'ERR_POSTGRES_SERVER_ERROR', errno: '23505', severity: 'ERROR' }),
    ),
  "`node:sqlite`, Bun's `SQL`: `SQLITE_IOERR`, `53300`": () =>
    threw(
      coded('ERR_SQLITE_ERROR', { errcode: 10, errstr: 'disk I/O error' }),
      new Named('PostgresError', { code: 'ERR_POSTGRES_SERVER_ERROR', errno: '53300', severity: 'FATAL' }),
    ),
  'Slack: `channel_not_found`': () =>
    threw(coded('slack_webapi_platform_error', { data: { error: 'channel_not_found' } })),
  'Slack: `internal_error`, a request that failed': () =>
    threw(
      coded('slack_webapi_platform_error', { data: { error: 'internal_error' } }),
      coded('slack_webapi_request_error', { original: coded('ECONNREFUSED') }),
      coded('slack_webapi_http_error', { statusCode: 503, headers: {} }),
    ),
  'Slack: rate limited, `retryAfter` of 20 s': () =>
    threw(coded('slack_webapi_rate_limited_error', { retryAfter: 20 })),
  'Telegram (grammY, Telegraf): 400, 403': () =>
    threw(
      new Named('GrammyError', { ok: false, error_code: 400, parameters: {} }),
      new Named('TelegramError', { response: { ok: false, error_code: 403 } }),
    ),
  'Telegram (grammY, Telegraf): 429 with `retry_after` of 20 s': () =>
    threw(
      new Named('GrammyError', { ok: false, error_code: 429, parameters: { retry_after: 20 } }),
      new Named('TelegramError', { code: 429, response: { error_code: 429, parameters: { retry_after: 20 } } }),
    ),
  'GitHub (Octokit): 403, 429 with nothing left of its quota for 20 s': () => [
    ...ofGithub(403, 0),
    ...ofGithub(429, 0),
  ],
  'GitHub (Octokit): 403 with some of its quota left': () => ofGithub(403, 4_999),
  'Azure: 429 with `x-ms-retry-after-ms: 20000`': () =>
    threw(
      new Named('RestError', {
        statusCode: 429,
        response: { status: 429, headers: { 'x-ms-retry-after-ms': '20000' } },
      }),
      new Named('ErrorResponse', { code: 429, headers: { 'x-ms-retry-after-ms': 20_000 } }),
    ),
  'Ollama, Boom: 404': () =>
    threw(
      new Named('ResponseError', { status_code: 404, error: 'model not found' }),
      Object.assign(new Error('x'), { isBoom: true, output: { statusCode: 404, headers: {} } }),
    ),
  'openapi-fetch, Hey API: `{ error, response }` of 404': () => [{ gave: { error: '', response: answer(404) } }],
  'openapi-fetch, Hey API: `{ error, response }` of 503': () => [
    { gave: { error: { message: 'x' }, response: answer(503) } },
    { gave: { data: undefined, error: '', request: {}, response: answer(500) } },
  ],
  'openapi-fetch, Hey API: `{ error, response }` of 429, `retry-after: 20`': () => [
    { gave: { error: '', response: answer(429, { 'retry-after': '20' }) } },
  ],
  'Resend: `{ error }`, `validation_error`, 422': () => [
    { gave: { data: null, error: { name: 'validation_error', statusCode: 422, message: 'x' }, headers: {} } },
  ],
  'Resend: `{ error }`, `rate_limit_exceeded`, 429, `retry-after: 20`': () => [
    {
      gave: {
        data: null,
        error: { name: 'rate_limit_exceeded', statusCode: 429, message: 'x' },
        headers: { 'retry-after': '20' },
      },
    },
  ],
  'Resend: `{ error }`, `application_error`: no answer': () => [
    { gave: { data: null, error: { name: 'application_error', statusCode: null, message: 'Unable to fetch data.' } } },
    { gave: { data: null, error: { name: 'application_error', message: 'Unable to fetch data.' } } },
  ],
  'GraphQL: a `networkError` of status 503': () =>
    threw(
      new Named('ApolloError', { graphQLErrors: [], networkError: Object.assign(new Error('x'), { statusCode: 503 }) }),
    ),
};
