import { migrate } from '@spillway/db';
import { usePostgres } from '@spillway/embedded/testing';

/** A migrated database of its own for each test. */
export function useMigratedPostgres(): ReturnType<typeof usePostgres> {
  return usePostgres({
    migrate: async (url) => {
      await migrate({ connectionString: url });
    },
    template: 'worker',
    scope: 'test',
  });
}
