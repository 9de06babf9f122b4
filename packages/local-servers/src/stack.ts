import { type LocalServersConfig, type Environment, readConfig, parseStack, type Stack } from './config.ts';
import { findProgram, redisPrograms, findEmbeddedPostgres } from './programs.ts';
import { LocalServerError } from './errors.ts';
import type { Server } from './server.ts';
import { containersUsable } from './container/docker.ts';

/** What the stack is wanted for. */
export interface ResolveStackOptions {
  /** @default process.env */
  readonly env?: Environment;
  /**
   * `test`: pinned containers where a Docker engine answers and can get the images, else local processes.
   * `start`: a server that is given by its URL, else local processes, else containers, else local again,
   * which then installs what is missing or says what would help.
   */
  readonly purpose: 'test' | 'start';
  /** Which server; for `start` the answer may differ. @default 'redis' */
  readonly server?: 'redis' | 'postgres';
}

/**
 * Decides what runs a server. `SPILLWAY_STACK` settles it. Without an engine it
 * takes a second at most; with one, as long as the images take to come the first time.
 *
 * @throws LocalServerError `invalid_option` when `SPILLWAY_STACK` is not a stack
 */
export async function resolveStack(options: ResolveStackOptions): Promise<Stack> {
  const { purpose, server = 'redis' } = options;
  const config = readConfig(options.env);
  if (config.stack !== undefined) return parseStack('SPILLWAY_STACK', config.stack);
  if (purpose === 'test') return (await containersUsable(config)) ? 'containers' : 'local';
  const url = server === 'redis' ? config.redisUrl : config.databaseUrl;
  if (url !== undefined) return 'external';
  if (await hasLocal(server, config)) return 'local';
  return (await containersUsable(config)) ? 'containers' : 'local';
}

async function hasLocal(server: 'redis' | 'postgres', config: LocalServersConfig): Promise<boolean> {
  if (server === 'postgres') return findEmbeddedPostgres() !== undefined;
  return (await findProgram(redisPrograms, config.searchPath)) !== undefined;
}

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
