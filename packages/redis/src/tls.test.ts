import { execFile, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { missingPackages } from '@spillway/local-servers';
import { compiled } from '@spillway/local-servers/testing';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

const SERVER = '/usr/bin/redis-server';
const OPENSSL = '/usr/bin/openssl';
const missing = await missingPackages([
  { name: 'redis-server', file: SERVER },
  { name: 'openssl', file: OPENSSL },
]);
const fixture = await compiled(new URL('../test/connect.fixture.ts', import.meta.url));

async function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

describe.skipIf(missing !== undefined)(
  `TLS, by a certificate that names a host and no address${missing === undefined ? '' : ` (skipped: ${missing})`}`,
  () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'spillway-tls-'));
    const children: ReturnType<typeof spawn>[] = [];
    const file = (name: string): string => path.join(folder, name);

    const openssl = (...args: readonly string[]): void =>
      void execFileSync(OPENSSL, args, { cwd: folder, stdio: 'ignore' });

    /** A server that speaks nothing but TLS. @returns its port */
    async function start(name: string, ...more: readonly string[]): Promise<number> {
      const port = await freePort();
      writeFileSync(
        file(`${name}.conf`),
        [
          'port 0',
          `tls-port ${port}`,
          'bind 127.0.0.1',
          `dir ${folder}`,
          'tls-auth-clients no',
          'tls-replication yes',
          `tls-cert-file ${file('server.crt')}`,
          `tls-key-file ${file('server.key')}`,
          `tls-ca-cert-file ${file('ca.crt')}`,
          ...more,
        ].join('\n'),
      );
      const sentinel = name === 'sentinel' ? ['--sentinel'] : [];
      children.push(spawn(SERVER, [file(`${name}.conf`), ...sentinel], { stdio: 'ignore' }));
      return port;
    }

    /** What a process that trusts the authority says of a URL. */
    async function connect(url: string): Promise<string> {
      const { stdout } = await promisify(execFile)(process.execPath, [fixture, url], {
        env: { ...process.env, NODE_EXTRA_CA_CERTS: file('ca.crt') },
      });
      return stdout.trim();
    }

    const ports = { server: 0, cluster: 0, sentinel: 0 };
    beforeAll(async () => {
      const key = ['-newkey', 'rsa:2048', '-nodes'];
      openssl(
        'req',
        '-x509',
        ...key,
        '-keyout',
        'ca.key',
        '-out',
        'ca.crt',
        '-days',
        '2',
        '-subj',
        '/CN=test authority',
      );
      openssl('req', ...key, '-keyout', 'server.key', '-out', 'server.csr', '-subj', '/CN=localhost');
      writeFileSync(file('names'), 'subjectAltName=DNS:localhost');
      const by = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-extfile', 'names', '-days', '2'];
      openssl('x509', '-req', '-in', 'server.csr', '-out', 'server.crt', ...by);
      ports.server = await start('server', 'requirepass data-secret', 'masterauth data-secret');
      ports.cluster = await start(
        'cluster',
        'cluster-enabled yes',
        'tls-cluster yes',
        'cluster-preferred-endpoint-type hostname',
        'cluster-announce-hostname localhost',
      );
      ports.sentinel = await start(
        'sentinel',
        'sentinel resolve-hostnames yes',
        'sentinel announce-hostnames yes',
        'requirepass sentinel-secret',
        `sentinel monitor main localhost ${ports.server} 1`,
        'sentinel auth-pass main data-secret',
      );
      const cli = (...args: readonly string[]): Promise<unknown> =>
        promisify(execFile)('/usr/bin/redis-cli', [
          '--tls',
          '--cacert',
          file('ca.crt'),
          '-h',
          'localhost',
          '-p',
          String(ports.cluster),
          ...args,
        ]);
      await vi.waitUntil(async () =>
        cli('ping').then(
          () => true,
          () => false,
        ),
      );
      await cli('cluster', 'addslotsrange', '0', '16383');
    });
    afterAll(() => {
      for (const child of children) child.kill('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    });

    it('reaches a server', async () => {
      expect(await connect(`rediss://:data-secret@localhost:${ports.server}`)).toBe('ready');
    });

    it('reaches a Cluster by its host names, which are not looked up', async () => {
      expect(await connect(`rediss-cluster://localhost:${ports.cluster}`)).toBe('ready');
    });

    it('reaches a master by sentinels that speak nothing but TLS, and have a password of their own', async () => {
      const url = `rediss-sentinel://:data-secret@localhost:${ports.sentinel}/main`;
      expect(await connect(`${url}?sentinelPassword=sentinel-secret`)).toBe('ready');
      expect(await connect(url)).toContain('not ready');
    });
  },
);
