import { expect, it } from 'vitest';
import { allowOpenFiles, OpenFilesError } from './open-files.ts';

it('says how to raise the limit where nobody may: more files than any kernel opens', async () => {
  const refused = allowOpenFiles(1e12);
  await expect(refused).rejects.toThrow(OpenFilesError);
  await expect(refused).rejects.toThrow(/ulimit -n 1000000000500/);
});

it('has nothing to say about a hundred users', async () => {
  await expect(allowOpenFiles(100)).resolves.toBeUndefined();
});
