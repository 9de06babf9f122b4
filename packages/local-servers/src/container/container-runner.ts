import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import type { StartedTestContainer, WaitStrategy } from 'testcontainers';
import { LocalServerError } from '../errors.ts';
import { type ContainerEngine, requireContainerEngine } from './docker.ts';
import type { PublishedContainer, PublishedPort } from './published-container.ts';
import { type Runner, closeWorkDirectory, type WorkDirectory } from '../server.ts';
import { spawn } from 'node:child_process';
import { Socket } from 'node:net';
import { readConfig } from '../config.ts';
import { findProgram } from '../programs.ts';

/** What to run. */
export interface ContainerRunnerOptions {
  /** Part of the container's name. */
  readonly name: string;
  readonly image: string;
  readonly command: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Empty for a container that lives in the network of another one. */
  readonly ports: readonly PublishedPort[];
  /** Another container whose network this one shares, by id. */
  readonly networkOf?: string;
  /** Where the data live on this machine; only bound into the container when they are to stay. */
  readonly workDirectory?: WorkDirectory;
  /** The directory in the container that holds the data. */
  readonly dataTarget?: string;
}

/** Readiness is asked for by the server's own protocol, in one place for all stacks. */
const noWaiting: WaitStrategy = {
  waitUntilReady: async () => {},
  withStartupTimeout: () => noWaiting,
  isStartupTimeoutSet: () => false,
  getStartupTimeout: () => 0,
};

/** The handle of one container, as the engine's client has it. */
type Container = ReturnType<ContainerEngine['client']['container']['getById']>;

/** A server as a Docker container, by way of Testcontainers. A restart starts the same container again. */
export class ContainerRunner implements Runner {
  readonly pid: undefined = undefined;
  readonly #options: ContainerRunnerOptions;
  readonly #name: string;
  #container: Container | undefined;
  #guard: ContainerSupervisor | undefined;
  #paused = false;

  constructor(options: ContainerRunnerOptions) {
    this.#options = options;
    this.#name = `spillway-${options.name}-${randomBytes(6).toString('hex')}`;
  }

  /** The container's id, once started. */
  get id(): string | undefined {
    return this.#container?.id;
  }

  async start(): Promise<void> {
    const existing = this.#container;
    try {
      if (existing === undefined) await this.#create();
      else await existing.start();
    } catch (error) {
      if (error instanceof LocalServerError) throw error;
      const message = error instanceof Error ? error.message : String(error);
      const taken = /address already in use|port is already allocated/i.test(message);
      throw new LocalServerError(
        taken ? 'port_taken' : 'start_failed',
        `Docker cannot start ${this.#options.image}: ${message}`,
        {
          cause: error,
        },
      );
    }
  }

  async #create(): Promise<void> {
    const { image, workDirectory } = this.#options;
    const engine = await requireContainerEngine();
    this.#guard = await superviseContainer(
      this.#name,
      workDirectory?.throwaway === true ? workDirectory.directory : undefined,
    );
    const { PublishedContainer: Recipe } = await import('./published-container.ts');
    const started = await this.#start(new Recipe(image), engine);
    this.#container = engine.client.container.getById(started.getId());
  }

  async #start(recipe: PublishedContainer, engine: ContainerEngine): Promise<StartedTestContainer> {
    const { command, environment = {}, ports, networkOf, workDirectory, dataTarget } = this.#options;
    recipe
      .withName(this.#name)
      .withCommand([...command])
      .withEnvironment({ ...environment })
      .withPorts(engine.publishOn, ports)
      .withWaitStrategy(noWaiting);
    if (networkOf !== undefined) recipe.withNetworkMode(`container:${networkOf}`);
    if (workDirectory?.throwaway === false && dataTarget !== undefined) {
      await mkdir(workDirectory.dataDirectory, { recursive: true });
      recipe.withBindMounts([{ source: workDirectory.dataDirectory, target: dataTarget }]);
    }
    try {
      return await recipe.start();
    } catch (error) {
      // Made but not startable, e.g. because of a taken port: nothing else would remove it.
      await engine.client.container
        .getById(this.#name)
        .remove({ force: true, v: true })
        .catch(() => {});
      throw error;
    }
  }

  async hasExited(): Promise<boolean> {
    if (this.#container === undefined) return true;
    const { State: state } = await this.#container.inspect();
    return !state.Running;
  }

  async output(): Promise<readonly string[]> {
    const log = await this.#container?.logs({ stdout: true, stderr: true, follow: false, tail: 15 });
    return log === undefined ? [] : decodeDockerLog(log);
  }

  async pause(): Promise<void> {
    await this.#required('pause').pause();
    this.#paused = true;
  }

  async resume(): Promise<void> {
    await this.#required('resume').unpause();
    this.#paused = false;
  }

  async kill(): Promise<void> {
    const container = this.#container;
    if (container === undefined || (await this.hasExited())) return;
    await container.kill();
    await container.wait();
    this.#paused = false;
  }

  async halt(): Promise<void> {
    const container = this.#container;
    if (container === undefined || (await this.hasExited())) return;
    // A frozen container can't be stopped.
    if (this.#paused) await this.resume();
    await container.stop({ t: 5 });
  }

  async dispose(): Promise<void> {
    const { workDirectory } = this.#options;
    const container = this.#container;
    if (container !== undefined) {
      // Data that stay behind deserve a clean end; the others need none.
      if (workDirectory?.throwaway === false) await this.halt();
      await container.remove({ force: true, v: true });
      this.#container = undefined;
    }
    this.#guard?.dismiss();
    this.#guard = undefined;
    if (workDirectory !== undefined) await closeWorkDirectory(workDirectory);
  }

  #required(operation: string): Container {
    if (this.#container === undefined) {
      throw new LocalServerError('not_running', `cannot ${operation} a container that is not running`);
    }
    return this.#container;
  }
}

/**
 * Waits for the end of the lifeline on fd 0, then removes the container; twice, because the engine may have been
 * in the middle of making it. Arguments: the docker program, the container's name, a directory to remove or ''.
 */
const script = `
read -r _
for _ in 1 2; do "$1" rm --force --volumes "$2" >/dev/null 2>&1; sleep 1; done
[ -z "$3" ] || rm -rf "$3"
`;

/** Watches over one container. */
export interface ContainerSupervisor {
  /** Ends the watch; the container is left to the caller. */
  dismiss(): void;
}

/**
 * Has a container removed when this process dies in any way. Testcontainers' own reaper (Ryuk) does the same, but
 * it can be switched off, and must be where its image is not available. Needs the `docker` program; without it
 * Ryuk is the only supervisor.
 */
async function superviseContainer(name: string, scrap: string | undefined): Promise<ContainerSupervisor> {
  const docker = await findProgram(['docker'], readConfig().searchPath);
  if (docker === undefined) return { dismiss: () => {} };
  const child = spawn('/bin/sh', ['-c', script, 'sh', docker, name, scrap ?? ''], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  child.on('error', () => {});
  child.stdin.on('error', () => {});
  child.unref();
  if (child.stdin instanceof Socket) child.stdin.unref();
  return {
    dismiss: () => {
      child.kill('SIGKILL');
      child.stdin.destroy();
    },
  };
}

/** Bytes before each piece of a container's output: one for the stream, three unused, four for the length. */
const headerBytes = 8;

/**
 * Takes apart what the engine answers for the logs of a container without a terminal: pieces of stdout and stderr,
 * each behind a header (Docker Engine API, "Attach to a container", stream format).
 *
 * @returns the lines, without the empty last one
 */
export function decodeDockerLog(log: Buffer): readonly string[] {
  let text = '';
  for (let at = 0; at + headerBytes <= log.length;) {
    const length = log.readUInt32BE(at + 4);
    text += log.toString('utf8', at + headerBytes, at + headerBytes + length);
    at += headerBytes + length;
  }
  return text === '' ? [] : text.trimEnd().split('\n');
}
