import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import type { StartedTestContainer, WaitStrategy } from 'testcontainers';
import { LocalServerError } from '../errors.ts';
import { type ContainerEngine, requireContainerEngine } from './container-engine.ts';
import { type ContainerSupervisor, superviseContainer } from './container-supervisor.ts';
import { decodeDockerLog } from './docker-log.ts';
import { closeWorkDirectory, type WorkDirectory } from './work-directory.ts';
import type { PublishedContainer, PublishedPort } from './published-container.ts';
import type { Runner } from './runner.ts';

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
      // Made but not startable, e.g. because of a taken port: nobody else would remove it.
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
