import { createServer } from 'node:net';
import { startPostgres } from '@spillway/local-servers';
import { describe, expect, test } from 'vitest';
import { useDatabase } from '../test/use-database.ts';
import { createPool } from './connection.ts';
import { classifyDbError, isRefusal } from './errors.ts';

async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}

function sqlError(code: string, severity = 'ERROR'): Error {
  return Object.assign(new Error(`SQLSTATE ${code}`), { code, severity });
}

describe('by SQLSTATE', () => {
  test.each(
    '08000 08001 08006 53100 53200 53300 57P01 57P02 57P03 57014 40001 40P01 55P03 25006 25P03 25P04 28P01 28000 3D000 58030'.split(
      ' ',
    ),
  )('%s is unavailable', (code) => {
    expect(classifyDbError(sqlError(code))).toBe('unavailable');
  });

  test.each(['22001', '22003', '22021', '22P02', '22P05', '23502', '23505', '23514', '54000'])(
    '%s is a bad row',
    (code) => {
      expect(classifyDbError(sqlError(code))).toBe('bad-row');
    },
  );

  test.each(['42P01', '42703', '42601', '42501', '21000', '0A000', '25P02', '26000', 'XX000', 'P0001'])(
    '%s is a bug',
    (code) => {
      expect(classifyDbError(sqlError(code))).toBe('bug');
    },
  );

  test('08P01 is unavailable from PgBouncer, which is fatal, and a bug from Postgres', () => {
    expect(classifyDbError(sqlError('08P01', 'FATAL'))).toBe('unavailable');
    expect(classifyDbError(sqlError('08P01', 'ERROR'))).toBe('bug');
  });
});

test.each(
  (
    'ECONNREFUSED ECONNRESET EPIPE ETIMEDOUT ENOTFOUND EAI_AGAIN EADDRNOTAVAIL ENOBUFS EACCES EPROTO ' +
    'CERT_HAS_EXPIRED CERT_NOT_YET_VALID SELF_SIGNED_CERT_IN_CHAIN DEPTH_ZERO_SELF_SIGNED_CERT CRL_HAS_EXPIRED ' +
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE ERR_TLS_CERT_ALTNAME_INVALID ERR_SSL_WRONG_VERSION_NUMBER HOSTNAME_MISMATCH'
  ).split(' '),
)('%s is unavailable', (code) => {
  expect(classifyDbError(Object.assign(new Error('network'), { code }))).toBe('unavailable');
});

test.each([
  ['EADDRINUSE', 'listen'],
  ['EEXIST', 'open'],
  ['EACCES', 'mkdir'],
])('%s of %s has nothing to do with a database', (code, syscall) => {
  expect(classifyDbError(Object.assign(new Error('ours'), { code, syscall }))).toBe('bug');
  expect(classifyDbError(Object.assign(new Error('network'), { code, syscall: 'connect' }))).toBe('unavailable');
});

test.each(['ERR_INVALID_ARG_TYPE', 'ERR_ASSERTION', 'EVENT'])('%s is a bug', (code) => {
  expect(classifyDbError(Object.assign(new Error('ours'), { code }))).toBe('bug');
});

test.each([
  [sqlError('28P01', 'FATAL'), true],
  [sqlError('28000', 'FATAL'), true],
  [sqlError('3D000', 'FATAL'), true],
  [sqlError('42501', 'FATAL'), true],
  [new Error('wrapped', { cause: sqlError('28P01', 'FATAL') }), true],
  [new Error('SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string'), true],
  [Object.assign(sqlError('08P01', 'FATAL'), { message: 'password authentication failed' }), true],
  // Postgres translates the severity, as lc_messages says.
  [sqlError('28P01', '致命错误'), true],
  [sqlError('3D000', 'ВАЖНО'), true],
  [Object.assign(sqlError('42501', '致命错误'), { routine: 'CheckMyDatabase' }), true],
  [Object.assign(sqlError('42501', '错误'), { routine: 'aclcheck_error' }), false],
  [sqlError('42501'), false],
  [sqlError('57P03', 'FATAL'), false],
  [sqlError('53300', 'FATAL'), false],
  [Object.assign(sqlError('08P01', 'FATAL'), { message: 'server login has been failing, try again later' }), false],
  [Object.assign(new Error('network'), { code: 'ECONNREFUSED' }), false],
  [undefined, false],
])('%s refuses what the URL says: %s', (error, refused) => {
  expect(isRefusal(error)).toBe(refused);
});

describe('poolers', () => {
  test.each([
    ['FATAL', 'XX000', 'MaxClientsInSessionMode: max clients reached'],
    ['FATAL', 'XX000', 'Tenant or user not found'],
    ['FATAL', 'XX000', '(ECHECKOUTTIMEOUT) unable to check out connection from the pool after 60000ms'],
    ['FATAL', '42704', 'no such role'],
    ['ERROR', 'XX000', "Couldn't connect to compute node"],
    ['ERROR', 'XX000', 'Control plane request failed'],
    ['ERROR', 'XX000', 'The endpoint has been disabled. Enable it using Neon API and retry.'],
    ['ERROR', 'XX000', 'Your account or project has exceeded the compute time quota.'],
    ['ERROR', 'XX000', 'Too many database connection attempts are currently ongoing'],
    ['ERROR', 'XX000', 'Failed to acquire permit to connect to the database.'],
  ])('%s %s %s is unavailable', (severity, code, message) => {
    expect(classifyDbError(Object.assign(new Error(message), { code, severity }))).toBe('unavailable');
  });

  test.each(['cache lookup failed for relation 16384', 'unexpected chunk number 0', 'tuple concurrently updated'])(
    'ERROR XX000 %s is a bug, of Postgres itself',
    (message) => {
      expect(classifyDbError(Object.assign(new Error(message), { code: 'XX000', severity: 'ERROR' }))).toBe('bug');
    },
  );
});

test.each(['The server does not support SSL connections', 'SASL: SCRAM-SERVER-FINAL-MESSAGE: signature is missing'])(
  'what pg says without a code is unavailable: %s',
  (message) => {
    expect(classifyDbError(new Error(message))).toBe('unavailable');
  },
);

test('sees through wrappers', () => {
  const wrapped = new Error('Failed query', { cause: new Error('in between', { cause: sqlError('23514') }) });
  expect(classifyDbError(wrapped)).toBe('bad-row');
});

test('ends on an error that is its own cause', () => {
  const circle = new Error('circle');
  circle.cause = circle;
  expect(classifyDbError(circle)).toBe('bug');
});

test.each([undefined, null, 'ECONNREFUSED', { code: '23514' }, new TypeError('x is undefined')])(
  'anything else is a bug: %s',
  (thrown) => {
    expect(classifyDbError(thrown)).toBe('bug');
  },
);

describe('what pg really throws', () => {
  const database = useDatabase('empty');

  test('when nobody listens is unavailable', async () => {
    // By name, so that Node tries ::1 and 127.0.0.1 and throws an AggregateError where there are both.
    const pool = createPool({ connectionString: 'postgres://postgres@localhost:1/x', onError: () => {} });
    expect(classifyDbError(await failureOf(pool.query('SELECT 1')))).toBe('unavailable');
    await pool.end();
  });

  test('when the other end never answers is unavailable', async () => {
    const sockets = new Set<{ destroy(): void }>();
    const silent = createServer((socket) => sockets.add(socket));
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const address = silent.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const connectionString = `postgres://postgres@127.0.0.1:${port}/x`;
    const pool = createPool({ connectionString, onError: () => {}, connectTimeoutMs: 50 });
    expect(classifyDbError(await failureOf(pool.query('SELECT 1')))).toBe('unavailable');
    await pool.end();
    for (const socket of sockets) socket.destroy();
    silent.close();
  });

  test('when all connections are in use is unavailable', async () => {
    const pool = createPool({ connectionString: database.url, onError: () => {}, max: 1, connectTimeoutMs: 2_000 });
    const only = await pool.connect();
    expect(classifyDbError(await failureOf(pool.query('SELECT 1')))).toBe('unavailable');
    only.release();
    await pool.end();
  });

  test('when the connection is ended mid-query is unavailable', async () => {
    const error = await failureOf(database.pool.query('SELECT pg_terminate_backend(pg_backend_pid())'));
    expect(classifyDbError(error)).toBe('unavailable');
  });

  test('when the client gives up by its own timer is unavailable', async () => {
    const options = { connectionString: database.url, onError: () => {}, statementTimeoutMs: 50 };
    const pool = createPool({ ...options, server: 'pgbouncer' });
    expect(classifyDbError(await failureOf(pool.query('SELECT pg_sleep(1)')))).toBe('unavailable');
    await pool.end();
  });

  test('when the database is not there (yet) is unavailable', async () => {
    const pool = createPool({ connectionString: new URL('/no_such', database.url).href, onError: () => {} });
    expect(classifyDbError(await failureOf(pool.query('SELECT 1')))).toBe('unavailable');
    await pool.end();
  });

  test('when the server was killed is unavailable', async () => {
    // One of its own, since the others' must live on; always a local one, which can be killed.
    const server = await startPostgres({ stack: 'local' });
    const pool = createPool({ connectionString: server.url, onError: () => {} });
    try {
      const sleep = 'SELECT pg_sleep(60)';
      const query = failureOf(pool.query(sleep));
      await expect
        .poll(async () => (await pool.query('SELECT FROM pg_stat_activity WHERE query = $1', [sleep])).rowCount)
        .toBe(1);
      await server.kill();
      expect(classifyDbError(await query)).toBe('unavailable');
      expect(classifyDbError(await failureOf(pool.query('SELECT 1')))).toBe('unavailable');
    } finally {
      await pool.end();
      await server.stop();
    }
  });

  test('when a table is missing is a bug', async () => {
    expect(classifyDbError(await failureOf(database.pool.query('SELECT * FROM no_such_table')))).toBe('bug');
  });
});
