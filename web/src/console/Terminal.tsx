/** The terminal of a running guest. A chunk of its own, because xterm.js is large. */
import { Button } from "@patternfly/react-core";
import { FitAddon } from "@xterm/addon-fit";
import { Terminal as Xterm } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";
import { useEffect, useRef, useState } from "react";
import { shortName, type GuestRef } from "../model/guest";
import type { SerialPort } from "../model/serial";
import { ConsoleConnection } from "./connection";

type Link = { state: "connecting" } | { state: "open" } | { state: "closed"; reason: string };

const FIRST_RETRY_MS = 2000;
const LAST_RETRY_MS = 30_000;

const THEME = {
  background: "#11181a",
  foreground: "#dbe4e4",
  cursor: "#6fc7c2",
  selectionBackground: "#35565a",
};

function makeTerminal(element: HTMLElement): { terminal: Xterm; fit: FitAddon } {
  const terminal = new Xterm({
    cursorBlink: true,
    fontFamily: '"Red Hat Mono", "DejaVu Sans Mono", monospace',
    fontSize: 14,
    scrollback: 5000,
    // Mirrors the screen as text, for screen readers and for anything that wants to read along.
    screenReaderMode: true,
    theme: THEME,
  });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  terminal.open(element);
  fit.fit();
  return { terminal, fit };
}

/** Connects and, as long as the terminal is shown, connects again when the link breaks. */
function useTerminal(guest: GuestRef, port: SerialPort | undefined) {
  const box = useRef<HTMLDivElement>(null);
  const again = useRef<() => void>(() => undefined);
  const [link, setLink] = useState<Link>({ state: "connecting" });
  const { node, type, vmid } = guest;

  useEffect(() => {
    if (!box.current) return;
    const { terminal, fit } = makeTerminal(box.current);
    let connection: ConsoleConnection | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let wait = FIRST_RETRY_MS;

    const connect = () => {
      clearTimeout(timer);
      connection?.close();
      setLink({ state: "connecting" });
      connection = new ConsoleConnection(
        { node, type, vmid },
        {
          onOpen: () => {
            wait = FIRST_RETRY_MS;
            setLink({ state: "open" });
            connection?.resize(terminal.cols, terminal.rows);
            terminal.focus();
          },
          onData: (bytes) => terminal.write(bytes),
          onClose: (reason) => {
            setLink({ state: "closed", reason });
            timer = setTimeout(connect, wait);
            wait = Math.min(wait * 2, LAST_RETRY_MS);
          },
        },
        port,
      );
      void connection.open();
    };
    again.current = connect;

    terminal.onData((data) => connection?.send(data));
    terminal.onBinary((data) => connection?.sendBinary(data));
    terminal.onResize(({ cols, rows }) => connection?.resize(cols, rows));
    const observer = new ResizeObserver(() => fit.fit());
    observer.observe(box.current);
    connect();
    return () => {
      clearTimeout(timer);
      observer.disconnect();
      connection?.close();
      terminal.dispose();
    };
  }, [node, type, vmid, port]);

  return { box, link, reconnect: () => again.current() };
}

interface TerminalProps {
  guest: GuestRef;
  /** Which of a machine's serial ports; its console, if none is named. */
  port?: SerialPort;
}

export default function Terminal({ guest, port }: TerminalProps) {
  const { box, link, reconnect } = useTerminal(guest, port);
  const frame = useRef<HTMLDivElement>(null);
  return (
    <div className="terminal-frame" ref={frame}>
      <div className="terminal-bar">
        <span className={`dot dot-${link.state === "open" ? "up" : "busy"}`} aria-hidden="true" />
        <span role="status" data-state={link.state}>
          {link.state === "connecting" && "Connecting…"}
          {link.state === "open" && "Connected. Press Enter if the screen stays empty."}
          {link.state === "closed" && `${link.reason} Trying again shortly.`}
        </span>
        <span className="push" />
        {link.state === "closed" && (
          <Button size="sm" variant="secondary" onClick={reconnect}>
            Reconnect
          </Button>
        )}
        <Button size="sm" variant="link" onClick={() => void frame.current?.requestFullscreen()}>
          Full screen
        </Button>
      </div>
      <div ref={box} className="console-screen" role="group" aria-label={`Console of ${shortName(guest)}`} />
    </div>
  );
}
