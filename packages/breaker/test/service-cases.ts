import { readdirSync, readFileSync } from 'node:fs';
import { coded, type Given, Named, threw } from './outcome-givens.ts';

function caught(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    return error;
  }
}

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
  'GraphQL: a `networkError` of status 503': () =>
    threw(
      new Named('ApolloError', { graphQLErrors: [], networkError: Object.assign(new Error('x'), { statusCode: 503 }) }),
    ),
};
