import path from 'node:path';
import type { ContainerRuntimeClient } from 'testcontainers';
import { LocalServerError } from '../errors.ts';
import { loopback } from '../port.ts';
import { existsSync } from 'node:fs';
import { request } from 'node:http';
import { homedir } from 'node:os';
import type { LocalServersConfig } from '../config.ts';

/** Where containers run, and how their ports are reached from here. */
export interface ContainerEngine {
  readonly client: ContainerRuntimeClient;
  /** The address that published ports answer on. */
  readonly host: string;
  /** The address to publish on: loopback, unless the engine is on another machine. */
  readonly publishOn: string;
}

/**
 * Connects to the Docker engine. Testcontainers is loaded here and not at the top of the file: it takes a
 * third of a second, which those who run local processes need not wait for.
 *
 * @throws LocalServerError `containers_unavailable`
 */
export async function requireContainerEngine(): Promise<ContainerEngine> {
  const { getContainerRuntimeClient } = await import('testcontainers');
  try {
    const client = await getContainerRuntimeClient();
    const { host } = client.info.containerRuntime;
    const isLocal = host === 'localhost' || host === loopback;
    return { client, host: isLocal ? loopback : host, publishOn: isLocal ? loopback : '0.0.0.0' };
  } catch (cause) {
    throw new LocalServerError(
      'containers_unavailable',
      'Containers were asked for and no Docker engine answers. Start one, or set SPILLWAY_STACK=local.',
      { cause },
    );
  }
}

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

let answer: Promise<boolean> | undefined;

/**
 * Whether containers can be had: an engine answers and has, or can get, the images (those of the servers, and that
 * of Testcontainers' reaper unless it is switched off). An engine that is cut off from its registry is as good as
 * none. The answer is kept for the life of this process.
 */
export function containersUsable(config: LocalServersConfig): Promise<boolean> {
  answer ??= check(config);
  return answer;
}

async function check(config: LocalServersConfig): Promise<boolean> {
  if (!(await dockerAnswers(config))) return false;
  const { getContainerRuntimeClient, getReaper, ImageName } = await import('testcontainers');
  try {
    const client = await getContainerRuntimeClient();
    const images = [redisImage, postgresImage].map((image) => ImageName.fromString(image));
    await Promise.all(images.map((image) => client.image.pull(image, { force: false, platform: undefined })));
    await getReaper(client);
    return true;
  } catch {
    return false;
  }
}

/** The Redis that tests run on where there is Docker. */
export const redisImage: string = 'redis:8-alpine';

/** The Postgres that tests run on where there is Docker; the same major version as the one from npm. */
export const postgresImage: string = 'postgres:18-alpine';

/** How long a container may take from its start until the server inside answers; the first start makes a database. */
export const containerDeadlineMs: number = 90_000;
