import type { MachineConfig } from '../machine/config.ts';
import type { Reply } from '../machine/record.ts';
import type { Announcement } from './store.ts';

/** The script answered with something else than its header promises. */
export class UnexpectedReplyError extends Error {
  readonly code = 'unexpected_reply';
  override readonly name = 'UnexpectedReplyError';
}

type WireReply = Omit<Reply, 'config'> & { readonly config?: MachineConfig };

/** Reads the script's reply. A reply without a config means that the command's own holds. @throws {UnexpectedReplyError} */
export function parseReply(text: string, config: MachineConfig): Reply {
  const value: unknown = JSON.parse(text);
  if (!isReply(value)) throw new UnexpectedReplyError(`not a breaker's reply: ${text.slice(0, 100)}`);
  return { config, ...value };
}

/** Reads what was published; undefined when it is something else. */
export function parseAnnouncement(text: string): Announcement | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isAnnouncement(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isReply(value: unknown): value is WireReply {
  return isObject(value) && 'verdict' in value && 'view' in value && isView(value.view);
}

function isAnnouncement(value: unknown): value is Announcement {
  return isObject(value) && 'preset' in value && 'name' in value && 'view' in value && isView(value.view);
}

function isView(value: unknown): boolean {
  return isObject(value) && 'epoch' in value && typeof value.epoch === 'number' && 'kind' in value;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
