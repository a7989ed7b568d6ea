import { useId, type ReactNode } from "react";

interface PanelProps {
  title?: string;
  tools?: ReactNode;
  children: ReactNode;
  className?: string;
}

/** A quiet box with a title. */
export function Panel({ title, tools, children, className = "" }: PanelProps) {
  const id = useId();
  return (
    <section className={`panel ${className}`} {...(title ? { "aria-labelledby": id } : {})}>
      {(title || tools) && (
        <header className="panel-head">
          {title && <h2 id={id}>{title}</h2>}
          {tools && <div className="panel-tools">{tools}</div>}
        </header>
      )}
      {children}
    </section>
  );
}
