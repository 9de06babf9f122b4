import type { EventEmitter } from 'node:events';
import { Duplex } from 'node:stream';

/*
 * Requests for a server of Node without sockets: its parser reads them from streams in memory, and answers are read from there. A
 * socket's system calls take most of a request, and how many answers share one depends on whether the client sleeps, so on the
 * server: behind a guard that answers many requests at once an app once took less than without.
 */

/** Connections that are kept alive. */
const CONNECTIONS = 64;

/** How many requests a turn of the event loop brings at most: a poll of sockets returns some of those that are open. */
const TURN = 32;

const HEAD_END = Buffer.from('\r\n\r\n');
const LENGTH = /\r\ncontent-length: (\d+)\r\n/i;

/**
 * Hands `count` requests to a server, 64 in flight at most, of which a turn of the event loop brings up to 32.
 * @throws {Error} when an answer has another status than is wanted
 */
export async function handIn(server: EventEmitter, handed: Handed): Promise<void> {
  const connections: Connection[] = [];
  try {
    await new Promise<void>((resolve, reject) => {
      const client = new Client(handed, resolve, reject);
      for (let place = 0; place < CONNECTIONS; place += 1) {
        const connection: Connection = new Connection((status) => client.answered(connection, status));
        connections.push(connection);
        server.emit('connection', connection);
        client.idle(connection);
      }
    });
  } finally {
    for (const connection of connections) connection.destroy();
  }
}

/** What {@link handIn} hands in. */
export interface Handed {
  readonly count: number;
  /** What every answer has to have. */
  readonly status: number;
  /** The bytes of a request, by its number. */
  readonly requestOf: (number: number) => Buffer;
}

/** Brings requests to connections that wait for none. */
class Client {
  readonly #handed: Handed;
  readonly #done: () => void;
  readonly #failed: (error: Error) => void;
  readonly #idle: Connection[] = [];
  #sent = 0;
  #answered = 0;
  #coming = false;

  constructor(handed: Handed, done: () => void, failed: (error: Error) => void) {
    this.#handed = handed;
    this.#done = done;
    this.#failed = failed;
  }

  answered(connection: Connection, status: number): void {
    const { count, status: wanted } = this.#handed;
    if (status !== wanted) this.#failed(new Error(`an answer's status is ${status}, not ${wanted}`));
    this.#answered += 1;
    if (this.#answered === count) this.#done();
    else this.idle(connection);
  }

  idle(connection: Connection): void {
    this.#idle.push(connection);
    this.#comeSoon();
  }

  #comeSoon(): void {
    if (this.#coming || this.#sent === this.#handed.count || this.#idle.length === 0) return;
    this.#coming = true;
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    this.#coming = false;
    for (let brought = 0; brought < TURN && this.#sent < this.#handed.count; brought += 1) {
      const connection = this.#idle.shift();
      if (connection === undefined) return;
      connection.push(this.#handed.requestOf(this.#sent));
      this.#sent += 1;
    }
    this.#comeSoon();
  }
}

/** A connection as the server sees it: what is pushed is a request, what is written an answer. */
class Connection extends Duplex {
  readonly #answered: (status: number) => void;
  #answer: Buffer | undefined;

  constructor(answered: (status: number) => void) {
    super({ readableHighWaterMark: 65_536 });
    this.#answered = answered;
  }

  override _read(): void {
    // Requests are pushed.
  }

  override _write(chunk: Buffer | string, encoding: NodeJS.BufferEncoding, done: () => void): void {
    this.#take(typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk);
    done();
  }

  #take(chunk: Buffer): void {
    const answer = this.#answer === undefined ? chunk : Buffer.concat([this.#answer, chunk]);
    const headEnd = answer.indexOf(HEAD_END);
    const head = headEnd === -1 ? '' : answer.toString('latin1', 0, headEnd + 2);
    const whole = headEnd + HEAD_END.length + Number(LENGTH.exec(head)?.[1] ?? Number.NaN);
    if (!(answer.length >= whole)) {
      this.#answer = answer;
      return;
    }
    this.#answer = undefined;
    this.#answered(Number(head.slice('HTTP/1.1 '.length, 'HTTP/1.1 200'.length)));
  }
}
