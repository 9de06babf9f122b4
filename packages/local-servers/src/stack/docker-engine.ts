import { existsSync } from 'node:fs';
import { request } from 'node:http';
import { homedir } from 'node:os';
import path from 'node:path';
import type { LocalServersConfig } from '../config.ts';

/** How long an engine may take to answer a ping before it counts as absent. */
const pingTimeoutMs = 1000;

/** Answers per address; an engine does not come and go while a process runs. */
const answers = new Map<string, Promise<boolean>>();

type EngineAddress = { readonly socketPath: string } | { readonly host: string; readonly port: number };

/** Whether a Docker engine answers. Takes a second at most and is asked once per process. */
export function dockerAnswers(config: LocalServersConfig): Promise<boolean> {
  const key = JSON.stringify([config.dockerHost, config.runtimeDirectory]);
  const known = answers.get(key);
  if (known !== undefined) return known;
  const answer = ask(engineAddresses(config));
  answers.set(key, answer);
  return answer;
}

async function ask(addresses: readonly EngineAddress[]): Promise<boolean> {
  const pings = await Promise.all(addresses.map(ping));
  return pings.includes(true);
}

/** The places where Testcontainers looks too, in its order. */
function engineAddresses({ dockerHost, runtimeDirectory }: LocalServersConfig): readonly EngineAddress[] {
  if (dockerHost !== undefined) return addressOf(dockerHost);
  const home = homedir();
  const sockets = [
    '/var/run/docker.sock',
    ...(runtimeDirectory === undefined ? [] : [path.join(runtimeDirectory, 'docker.sock')]),
    path.join(home, '.docker', 'run', 'docker.sock'),
    path.join(home, '.docker', 'desktop', 'docker.sock'),
    path.join('/run', 'user', String(process.getuid?.() ?? 0), 'docker.sock'),
  ];
  return sockets.filter((socketPath) => existsSync(socketPath)).map((socketPath) => ({ socketPath }));
}

function addressOf(dockerHost: string): readonly EngineAddress[] {
  if (!URL.canParse(dockerHost)) return [];
  const url = new URL(dockerHost);
  if (url.protocol === 'unix:') return [{ socketPath: url.pathname }];
  if (url.protocol === 'tcp:' || url.protocol === 'http:')
    return [{ host: url.hostname, port: Number(url.port || 2375) }];
  return [];
}

function ping(address: EngineAddress): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request({ ...address, path: '/_ping', timeout: pingTimeoutMs, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    asked.once('timeout', () => asked.destroy());
    asked.once('error', () => resolve(false));
    asked.once('close', () => resolve(false));
    asked.end();
  });
}
