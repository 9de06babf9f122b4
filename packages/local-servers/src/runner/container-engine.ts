import type { ContainerRuntimeClient } from 'testcontainers';
import { LocalServerError } from '../errors.ts';
import { loopback } from '../port.ts';

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
