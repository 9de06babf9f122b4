/** The Redis that tests run on where there is Docker. */
export const redisImage: string = 'redis:8-alpine';

/** The Postgres that tests run on where there is Docker; the same major version as the embedded one. */
export const postgresImage: string = 'postgres:18-alpine';

/** How long a container may take from its start until the server inside answers; the first start makes a database. */
export const containerDeadlineMs: number = 90_000;
