import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';
import { runbooksHtml } from './runbooks.ts';

/** Puts the runbooks of docs/operations.md into their page. */
const runbooks: Plugin = {
  name: 'runbooks',
  transformIndexHtml: (html) => html.replace('<!-- runbooks -->', runbooksHtml),
};

const page = (name: string): string => fileURLToPath(new URL(`page/${name}`, import.meta.url));

/** The pages are served below /dashboard by the API, from its own files alone. */
export default defineConfig({
  root: 'page',
  base: '/dashboard/',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  plugins: [runbooks],
  build: {
    outDir: '../dist/page',
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    rollupOptions: { input: [page('index.html'), page('runbooks.html')] },
  },
});
