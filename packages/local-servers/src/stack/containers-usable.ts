import type { LocalServersConfig } from '../config.ts';
import { postgresImage, redisImage } from '../runner/container-images.ts';
import { dockerAnswers } from './docker-engine.ts';

let answer: Promise<boolean> | undefined;

/**
 * Whether containers can be had: an engine answers and has, or can get, the images (those of the servers, and that
 * of Testcontainers' reaper unless it is switched off). An engine that is cut off from its registry is as good as
 * none. The answer is kept for the life of this process.
 */
export function containersUsable(config: LocalServersConfig): Promise<boolean> {
  answer ??= check(config);
  return answer;
}

async function check(config: LocalServersConfig): Promise<boolean> {
  if (!(await dockerAnswers(config))) return false;
  const { getContainerRuntimeClient, getReaper, ImageName } = await import('testcontainers');
  try {
    const client = await getContainerRuntimeClient();
    const images = [redisImage, postgresImage].map((image) => ImageName.fromString(image));
    await Promise.all(images.map((image) => client.image.pull(image, { force: false, platform: undefined })));
    await getReaper(client);
    return true;
  } catch {
    return false;
  }
}
