import { connect, type Socket } from 'node:net';

/** Who wants to hear of a connection. */
export interface ConnectionListener {
  /** The connection is up and idle. */
  opened(user: number): void;
  /** An answer came. */
  answered(user: number, status: number): void;
  /** Something came that is no answer, or none that was asked for. The connection is given up: `dropped` follows. */
  garbled(user: number, what: string): void;
  /** The connection is gone, with the answer to what was under way; another one is being made. */
  dropped(user: number): void;
}

/** What a {@link UserConnection} is made of. */
export interface UserConnectionOptions {
  readonly user: number;
  readonly listener: ConnectionListener;
  /** The port for the given attempt: where one process is gone, another answers. */
  readonly portFor: (user: number, attempt: number) => number;
}

const RETRY_MS = 100;

/** A user's one connection, kept alive, and reopened when it ends. */
export class UserConnection {
  readonly #options: UserConnectionOptions;
  readonly #reader = new AnswerReader();
  #socket: Socket | undefined;
  #attempt = 0;
  #open = false;
  /** Whether an answer is due. */
  #asked = false;
  #closed = false;

  constructor(options: UserConnectionOptions) {
    this.#options = options;
  }

  get isOpen(): boolean {
    return this.#open;
  }

  connect(): void {
    const { user, listener, portFor } = this.#options;
    if (this.#closed) return;
    this.#reader.reset();
    this.#asked = false;
    const socket = connect({ host: '127.0.0.1', port: portFor(user, this.#attempt), noDelay: true });
    this.#socket = socket;
    socket.once('connect', () => {
      this.#open = true;
      listener.opened(user);
    });
    socket.on('data', (chunk: Buffer) => this.#read(socket, chunk));
    // 'close' follows and does what there is to do.
    socket.on('error', () => {});
    // A server that says goodbye: `allowHalfOpen` is false, so 'close' follows too.
    socket.once('close', () => this.#ended());
  }

  send(text: string): void {
    this.#asked = true;
    this.#socket?.write(text, 'latin1');
  }

  close(): void {
    this.#closed = true;
    this.#socket?.destroy();
  }

  #read(socket: Socket, chunk: Buffer): void {
    const { user, listener } = this.#options;
    const read = this.#reader.push(chunk);
    if (read === undefined || socket.destroyed) return;
    if (read.kind === 'answer' && this.#asked) {
      this.#asked = false;
      listener.answered(user, read.status);
      return;
    }
    listener.garbled(user, read.kind === 'answer' ? `nobody asked: status ${read.status}` : read.problem);
    socket.destroy();
  }

  #ended(): void {
    const wasOpen = this.#open;
    this.#open = false;
    if (this.#closed) return;
    // The first attempt after a drop goes to the user's own process.
    this.#attempt = wasOpen ? 0 : this.#attempt + 1;
    if (wasOpen) this.#options.listener.dropped(this.#options.user);
    setTimeout(() => this.connect(), wasOpen ? 0 : RETRY_MS);
  }
}

/** An answer, or why what came is none. */
export type Read =
  | { readonly kind: 'answer'; readonly status: number }
  | { readonly kind: 'garbled'; readonly problem: string };

/**
 * Reads HTTP/1.1 answers from a connection that has one request under way at a time: only the status matters, and where
 * the answer ends. Written by hand because ten thousand clients of a library cost the load generator more CPU than the
 * API has left. Understands bodies with a `Content-Length`, which all routes here have.
 */
export class AnswerReader {
  #text = '';

  /** Takes what came in; gives the status when the answer is complete, or the problem when it can't be read. */
  push(chunk: Buffer): Read | undefined {
    // Latin-1: a character is a byte, so lengths agree whatever the body holds.
    this.#text = this.#text === '' ? chunk.toString('latin1') : this.#text + chunk.toString('latin1');
    const head = this.#text.indexOf('\r\n\r\n');
    if (head < 0) return undefined;
    const length = contentLength(this.#text, head);
    if (length === undefined) return garbled('an answer without Content-Length', this.#text.slice(0, head));
    const end = head + 4 + length;
    if (this.#text.length < end) return undefined;
    if (this.#text.length > end) return garbled('more than was asked for', this.#text.slice(end, end + 200));
    const status = Number(this.#text.slice(9, 12));
    this.#text = '';
    return { kind: 'answer', status };
  }

  /** Forgets half an answer: the connection is a new one. */
  reset(): void {
    this.#text = '';
  }
}

const LENGTH = /\r\ncontent-length: *(\d+)/i;

function contentLength(text: string, head: number): number | undefined {
  const match = LENGTH.exec(text);
  return match === null || match.index > head ? undefined : Number(match[1]);
}

function garbled(problem: string, text: string): Read {
  return { kind: 'garbled', problem: `${problem}: ${JSON.stringify(text)}` };
}
