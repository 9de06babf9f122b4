import { invalidOption } from './errors.ts';
/** The environment, as `process.env` has it. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** What this package reads from the environment. The names of the variables are written here and nowhere else. */
export interface LocalServersConfig {
  /** `SPILLWAY_STACK`: forces one stack. Not checked here. */
  readonly stack: string | undefined;
  /** `REDIS_URL`: a Redis that is already there. */
  readonly redisUrl: string | undefined;
  /** `DATABASE_URL`: a Postgres that is already there. */
  readonly databaseUrl: string | undefined;
  /** `DOCKER_HOST`: where the Docker engine is, if not in the usual places. */
  readonly dockerHost: string | undefined;
  /** `XDG_RUNTIME_DIR`: where a rootless Docker engine has its socket. */
  readonly runtimeDirectory: string | undefined;
  /** `SPILLWAY_WORK_DIRECTORY_ROOT`: in which directory servers without a `dataDir` keep their files, if not in the temporary one. */
  readonly workDirectoryRoot: string | undefined;
  /** `PATH`. */
  readonly searchPath: string | undefined;
}

/** Reads the configuration; empty values count as absent. */
export function readConfig(env: Environment = process.env): LocalServersConfig {
  return {
    stack: env['SPILLWAY_STACK'] || undefined,
    redisUrl: env['REDIS_URL'] || undefined,
    databaseUrl: env['DATABASE_URL'] || undefined,
    dockerHost: env['DOCKER_HOST'] || undefined,
    runtimeDirectory: env['XDG_RUNTIME_DIR'] || undefined,
    workDirectoryRoot: env['SPILLWAY_WORK_DIRECTORY_ROOT'] || undefined,
    searchPath: env['PATH'] || undefined,
  };
}

/**
 * What runs the servers: Docker containers, local processes, or the user (their addresses come from
 * `REDIS_URL` and `DATABASE_URL`, and they are never stopped by us).
 */
export type Stack = 'containers' | 'local' | 'external';

/** @throws LocalServerError `invalid_option` for anything that is not a {@link Stack} */
export function parseStack(option: string, value: string): Stack {
  if (value === 'containers' || value === 'local' || value === 'external') return value;
  throw invalidOption(option, value, "'containers', 'local' or 'external'");
}
