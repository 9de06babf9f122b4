import { LocalServerError } from '../errors.ts';
import type { Server } from '../server.ts';

/** The nodes after the first of `redis-cluster://host:port,host:port` and `redis-sentinel://…`, which no `URL` can have. */
const OTHER_NODES = /^(rediss?-(?:cluster|sentinel):\/\/(?:[^@/]*@)?[^,/?]+)[^/?]*/u;

/**
 * A server, or the first node of a Cluster or of sentinels, that was there before us: it can be used, and is left alone
 * otherwise.
 */
export class ExternalServer implements Server {
  readonly host: string;
  readonly port: number;
  readonly url: string;
  readonly pid: undefined = undefined;

  private constructor(url: URL, text: string, defaultPort: number) {
    this.host = url.hostname;
    this.port = url.port === '' ? defaultPort : Number(url.port);
    this.url = text;
  }

  /**
   * @param variable the name of the variable that the URL comes from, for messages
   * @throws LocalServerError `invalid_option` when it is absent or not a URL
   */
  static from(variable: string, url: string | undefined, defaultPort: number): ExternalServer {
    if (url === undefined) {
      throw new LocalServerError('invalid_option', `${variable} must be set when SPILLWAY_STACK is 'external'`);
    }
    // The value may hold a password, so it is not quoted.
    const first = url.replace(OTHER_NODES, '$1');
    if (!URL.canParse(first)) throw new LocalServerError('invalid_option', `${variable} must be a URL`);
    return new ExternalServer(new URL(first), url, defaultPort);
  }

  async pause(): Promise<void> {
    throw notOwned('pause');
  }

  async resume(): Promise<void> {
    throw notOwned('resume');
  }

  async kill(): Promise<void> {
    throw notOwned('kill');
  }

  async restart(): Promise<void> {
    throw notOwned('restart');
  }

  /** Does nothing: who started it stops it. */
  async stop(): Promise<void> {}
}

function notOwned(operation: string): LocalServerError {
  return new LocalServerError('not_owned', `cannot ${operation} an external server`);
}
