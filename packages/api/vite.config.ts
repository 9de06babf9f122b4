import { defineConfig } from 'vite';

/** The page is served below /dashboard by the API, from its own files alone. */
export default defineConfig({
  root: 'page',
  base: '/dashboard/',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: { outDir: '../dist/page', emptyOutDir: true, target: 'es2022', assetsInlineLimit: 0 },
});
