/** The screen of a running virtual machine. A chunk of its own, because noVNC is large. */
import RFB from "@novnc/novnc";
import {
  Button,
  Divider,
  Dropdown,
  DropdownItem,
  DropdownList,
  MenuToggle,
  Modal,
  ModalBody,
  ModalFooter,
  ModalHeader,
  TextArea,
} from "@patternfly/react-core";
import { useEffect, useRef, useState } from "react";
import { messageOf } from "../api/error";
import { shortName, type GuestRef } from "../model/guest";
import { COMBINATIONS, CTRL_ALT_DEL, keysymsOf, press, type Combination } from "../model/keys";
import { prepareScreen } from "./screen";

type Link = { state: "connecting" } | { state: "open" } | { state: "closed"; reason: string };

const FIRST_RETRY_MS = 2000;
const LAST_RETRY_MS = 30_000;
/** Typed text goes out in portions, so that a guest that fetches keys slowly gets all of them. */
const PORTION = 8;
const PORTION_MS = 80;

/** Connects and, as long as the screen is shown, connects again when the link breaks. */
function useScreen(guest: GuestRef) {
  const box = useRef<HTMLDivElement>(null);
  const session = useRef<RFB>(undefined);
  const again = useRef<() => void>(() => undefined);
  const fitting = useRef(false);
  const [link, setLink] = useState<Link>({ state: "connecting" });
  const { node, type, vmid } = guest;

  useEffect(() => {
    const target = box.current;
    if (!target) return;
    let over = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let wait = FIRST_RETRY_MS;

    const lost = (reason: string) => {
      session.current = undefined;
      if (over) return;
      setLink({ state: "closed", reason });
      timer = setTimeout(connect, wait);
      wait = Math.min(wait * 2, LAST_RETRY_MS);
    };
    const open = (url: string, password: string) => {
      const rfb = new RFB(target, url, { credentials: { password } });
      session.current = rfb;
      rfb.background = "transparent";
      rfb.scaleViewport = true;
      rfb.resizeSession = fitting.current;
      rfb.showDotCursor = true;
      let reason = "The connection was closed.";
      rfb.addEventListener("connect", () => {
        wait = FIRST_RETRY_MS;
        setLink({ state: "open" });
        rfb.focus();
      });
      rfb.addEventListener("securityfailure", () => (reason = "The console refused its ticket."));
      rfb.addEventListener("disconnect", () => {
        if (session.current === rfb) lost(reason);
      });
    };
    const connect = () => {
      clearTimeout(timer);
      const old = session.current;
      session.current = undefined;
      old?.disconnect();
      setLink({ state: "connecting" });
      prepareScreen({ node, type, vmid }).then(
        ({ url, password }) => {
          if (!over) open(url, password);
        },
        (error: unknown) => lost(messageOf(error)),
      );
    };
    again.current = connect;
    connect();
    return () => {
      over = true;
      clearTimeout(timer);
      session.current?.disconnect();
      session.current = undefined;
    };
  }, [node, type, vmid]);

  /** Whether the guest is asked for a picture of the window's size. */
  const fit = (on: boolean) => {
    fitting.current = on;
    if (session.current) session.current.resizeSession = on;
  };
  return { box, session, link, fit, reconnect: () => again.current() };
}

export default function Screen({ guest }: { guest: GuestRef }) {
  const { box, session, link, fit, reconnect } = useScreen(guest);
  const frame = useRef<HTMLDivElement>(null);
  const [typing, setTyping] = useState(false);
  const [fitting, setFitting] = useState(false);
  const isOpen = link.state === "open";

  const send = (combination: Combination) => {
    const rfb = session.current;
    if (!rfb) return;
    press(combination, (keysym, code, down) => rfb.sendKey(keysym, code, down));
    rfb.focus();
  };
  const toggleFit = () => {
    fit(!fitting);
    setFitting(!fitting);
  };

  return (
    <div className="terminal-frame" ref={frame}>
      <div className="terminal-bar">
        <span className={`dot dot-${isOpen ? "up" : "busy"}`} aria-hidden="true" />
        <span role="status" data-state={link.state}>
          {link.state === "connecting" && "Connecting…"}
          {link.state === "open" && "Connected."}
          {link.state === "closed" && `${link.reason} Trying again shortly.`}
        </span>
        <span className="push" />
        {link.state === "closed" && (
          <Button size="sm" variant="secondary" onClick={reconnect}>
            Reconnect
          </Button>
        )}
        <Button size="sm" variant="link" isDisabled={!isOpen} onClick={() => send(CTRL_ALT_DEL)}>
          {CTRL_ALT_DEL.name}
        </Button>
        <KeyMenu
          isDisabled={!isOpen}
          fitting={fitting}
          onFit={toggleFit}
          onSend={send}
          onType={() => setTyping(true)}
        />
        <Button size="sm" variant="link" onClick={() => void frame.current?.requestFullscreen()}>
          Full screen
        </Button>
      </div>
      <div
        ref={box}
        className="console-screen console-picture"
        role="group"
        aria-label={`Screen of ${shortName(guest)}`}
      />
      {typing && (
        <TypeDialog
          onClose={() => setTyping(false)}
          onType={(keysyms) => void type(keysyms, () => session.current)}
        />
      )}
    </div>
  );
}

/** Types keys in portions, as long as the connection they began on lasts. */
async function type(keysyms: readonly number[], session: () => RFB | undefined): Promise<void> {
  const rfb = session();
  for (let at = 0; at < keysyms.length; at += PORTION) {
    if (!rfb || session() !== rfb) return;
    for (const keysym of keysyms.slice(at, at + PORTION)) rfb.sendKey(keysym, null);
    await new Promise((resume) => setTimeout(resume, PORTION_MS));
  }
  rfb?.focus();
}

interface KeyMenuProps {
  isDisabled: boolean;
  fitting: boolean;
  onFit: () => void;
  onSend: (combination: Combination) => void;
  onType: () => void;
}

function KeyMenu({ isDisabled, fitting, onFit, onSend, onType }: KeyMenuProps) {
  const [open, setOpen] = useState(false);
  return (
    <Dropdown
      isOpen={open}
      onOpenChange={setOpen}
      onSelect={() => setOpen(false)}
      isScrollable
      popperProps={{ position: "end" }}
      toggle={(ref) => (
        <MenuToggle
          ref={ref}
          size="sm"
          isDisabled={isDisabled}
          isExpanded={open}
          onClick={() => setOpen(!open)}
        >
          Keys
        </MenuToggle>
      )}
    >
      <DropdownList>
        <DropdownItem key="type" onClick={onType}>
          Type text…
        </DropdownItem>
        <DropdownItem key="fit" isSelected={fitting} onClick={onFit}>
          Ask the guest for this size
        </DropdownItem>
        <Divider key="divider" />
        {COMBINATIONS.map((combination) => (
          <DropdownItem key={combination.name} onClick={() => onSend(combination)}>
            {combination.name}
          </DropdownItem>
        ))}
      </DropdownList>
    </Dropdown>
  );
}

/** Asks for text to type; begins with the clipboard where the browser lets us read it. */
function TypeDialog({ onClose, onType }: { onClose: () => void; onType: (keysyms: number[]) => void }) {
  const [text, setText] = useState("");
  const { keysyms, missing } = keysymsOf(text);

  useEffect(() => {
    let over = false;
    // Browsers may ask, refuse, or not know the clipboard at all: then it is pasted by hand.
    Promise.resolve(navigator.clipboard?.readText()).then(
      (clipboard) => {
        if (!over && clipboard) setText((typed) => typed || clipboard);
      },
      () => undefined,
    );
    return () => {
      over = true;
    };
  }, []);

  return (
    <Modal variant="small" isOpen onClose={onClose} aria-labelledby="type-title">
      <ModalHeader title="Type text into the guest" labelId="type-title" />
      <ModalBody>
        <div className="stack">
          <TextArea
            aria-label="Text to type"
            value={text}
            onChange={(_event, value) => setText(value)}
            rows={5}
            autoFocus
          />
          {missing > 0 && (
            <p>{missing} characters are not on a US keyboard and are left out. Line breaks press Enter.</p>
          )}
        </div>
      </ModalBody>
      <ModalFooter>
        <Button
          isDisabled={keysyms.length === 0}
          onClick={() => {
            onType(keysyms);
            onClose();
          }}
        >
          Type
        </Button>
        <Button variant="link" onClick={onClose}>
          Cancel
        </Button>
      </ModalFooter>
    </Modal>
  );
}
