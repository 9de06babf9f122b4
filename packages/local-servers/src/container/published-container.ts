import { GenericContainer } from 'testcontainers';

/** A port inside a container and the one it is reached by from outside. */
export interface PublishedPort {
  readonly inside: number;
  readonly outside: number;
}

/**
 * Testcontainers publishes on every network interface. These servers have no passwords, so theirs are
 * published on one address only.
 */
export class PublishedContainer extends GenericContainer {
  /** Publishes ports on one address of the host. */
  withPorts(publishOn: string, ports: readonly PublishedPort[]): this {
    this.withExposedPorts(...ports.map(({ inside, outside }) => ({ container: inside, host: outside })));
    for (const { inside, outside } of ports) {
      this.hostConfig.PortBindings = {
        ...this.hostConfig.PortBindings,
        [`${inside}/tcp`]: [{ HostIp: publishOn, HostPort: String(outside) }],
      };
    }
    return this;
  }
}
