/** Light, dark, or as the system says; remembered in this browser. */
import { useSyncExternalStore } from "react";

export type Theme = "system" | "light" | "dark";

const KEY = "basalt-theme";
const system = typeof matchMedia === "function" ? matchMedia("(prefers-color-scheme: dark)") : undefined;
const listeners = new Set<() => void>();

function stored(): Theme {
  const value = localStorage.getItem(KEY);
  return value === "light" || value === "dark" ? value : "system";
}

function isDark(): boolean {
  const theme = stored();
  return theme === "system" ? Boolean(system?.matches) : theme === "dark";
}

/** Puts the theme on the page and follows the system's changes. */
export function applyTheme(): void {
  paint();
  system?.addEventListener("change", paint);
}

function paint(): void {
  document.documentElement.classList.toggle("pf-v6-theme-dark", isDark());
  document.documentElement.style.colorScheme = isDark() ? "dark" : "light";
  for (const listener of listeners) listener();
}

/** Chooses a theme. */
export function setTheme(theme: Theme): void {
  if (theme === "system") localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, theme);
  paint();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The choice made, live. */
export function useTheme(): Theme {
  return useSyncExternalStore(subscribe, stored);
}

/** Whether the page is dark right now, for things drawn by hand such as graphs. */
export function useDark(): boolean {
  return useSyncExternalStore(subscribe, isDark);
}
