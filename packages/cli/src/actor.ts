import { hostname, userInfo } from 'node:os';

/** Who changes something at a command line, as the trail has it: `cli:<user>@<host>`. */
export function actor(): string {
  return `cli:${userName()}@${hostname()}`;
}

/** A container's user may have no name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? 'unknown');
  }
}
