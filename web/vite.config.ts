import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

/** Where `npm run dev` forwards API calls: a running appliance, by default the one of `cargo image run`. */
const backend = process.env["BASALT_URL"] ?? "https://127.0.0.1:8006";

export default defineConfig({
  plugins: [react()],
  build: {
    target: "es2022",
    // The gateway's Content-Security-Policy allows no data: fonts, so assets stay files.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 900,
  },
  server: {
    proxy: { "/api2": { target: backend, secure: false, ws: true } },
  },
  test: {
    environment: "jsdom",
    environmentOptions: { jsdom: { url: "https://basalt.test/" } },
    include: ["tests/**/*.test.{ts,tsx}"],
    setupFiles: ["tests/setup.ts"],
    css: false,
    server: { deps: { inline: [/@patternfly/] } },
  },
});
