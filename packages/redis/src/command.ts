import { Command } from 'ioredis';
import type { RedisClient } from './client.ts';
import { connectionOf } from './connection.ts';

/**
 * Sends a command and gives its reply, bulk strings as Buffers. It goes past the client's methods, which with
 * `enableAutoPipelining` hold a command back and fail for one whose name is not a method.
 * @throws whatever the client rejects with.
 */
export function call(client: RedisClient, name: string, args: readonly (string | Buffer | number)[]): Promise<unknown> {
  return send(client, new Command(name, [...args])).catch((error: unknown) => {
    connectionOf(client).rejected(error);
    throw error;
  });
}

/** Sends a command and gives its reply. */
export function send(client: RedisClient, command: Command): Promise<unknown> {
  client.sendCommand(command);
  return command.promise;
}
