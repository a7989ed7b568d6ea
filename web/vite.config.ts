import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { brotliCompressSync } from "node:zlib";
import react from "@vitejs/plugin-react";
import { defineConfig, type ViteUserConfig } from "vitest/config";

/** Where `npm run dev` forwards API calls: a running appliance, by default the one of `cargo image run`. */
const backend = process.env["BASALT_URL"] ?? "https://127.0.0.1:8006";

/** Lays a `.br` beside every text file, which the gateway sends to browsers that take it. */
function compressed(): NonNullable<ViteUserConfig["plugins"]>[number] {
  return {
    name: "compressed",
    apply: "build",
    writeBundle({ dir = "dist" }) {
      for (const name of readdirSync(dir, { recursive: true, encoding: "utf8" })) {
        const file = path.join(dir, name);
        if (/\.(js|css|svg|html)$/.test(name))
          writeFileSync(`${file}.br`, brotliCompressSync(readFileSync(file)));
      }
    },
  };
}

export default defineConfig({
  plugins: [react(), compressed()],
  build: {
    target: "es2022",
    // The gateway's Content-Security-Policy allows no data: fonts, so assets stay files.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 900,
  },
  server: {
    // The page of the API's methods has their description in it.
    fs: { allow: [".."] },
    proxy: { "/api2": { target: backend, secure: false, ws: true } },
  },
  test: {
    environment: "jsdom",
    environmentOptions: { jsdom: { url: "https://basalt.test/" } },
    include: ["tests/**/*.test.{ts,tsx}"],
    setupFiles: ["tests/setup.ts"],
    css: false,
    // Builds run beside the tests.
    testTimeout: 60_000,
    server: { deps: { inline: [/@patternfly/] } },
  },
});
