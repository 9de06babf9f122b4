import { mkdir, stat } from 'node:fs/promises';
import path from 'node:path';

/**
 * Makes a folder and those above it that are missing. Node's own `mkdir` with `recursive` never returns where a file system
 * makes no folders and says that there is none, such as below /proc.
 *
 * Rejects with the system's error for the first that can't be made: a file is in the way, or the file system is read-only.
 */
export async function makeFolder(folder: string): Promise<void> {
  const missing: string[] = [];
  for (let at = path.resolve(folder); !(await isFolder(at)); at = path.dirname(at)) missing.push(at);
  for (const each of missing.toReversed()) {
    try {
      await mkdir(each);
    } catch (error) {
      // Another process may have made it meanwhile.
      if (!(await isFolder(each))) throw error;
    }
  }
}

async function isFolder(place: string): Promise<boolean> {
  try {
    return (await stat(place)).isDirectory();
  } catch (error) {
    if (error instanceof Error && Reflect.get(error, 'code') === 'ENOENT') return false;
    throw error;
  }
}
