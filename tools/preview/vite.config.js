import react from '@vitejs/plugin-react';

export default {
  root: 'app',
  base: './',
  plugins: [react()],
  // @grafana/ui and scenes import react-router's v5 bridge; version 6 has all that they use of it.
  resolve: { alias: { 'react-router-dom-v5-compat': 'react-router-dom' } },
  define: { 'process.env': {}, global: 'window' },
  build: { outDir: '../dist', emptyOutDir: true, minify: false, chunkSizeWarningLimit: 50000, reportCompressedSize: false },
};
