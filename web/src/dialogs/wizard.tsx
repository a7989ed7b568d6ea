/** What both wizards share: form state with complaints per step, the frame, and common fields. */
import {
  ActionList,
  ActionListGroup,
  ActionListItem,
  Button,
  Checkbox,
  Form,
  FormSelect,
  FormSelectOption,
  Modal,
  TextInput,
  Wizard,
  WizardFooterWrapper,
  WizardHeader,
  useWizardContext,
} from "@patternfly/react-core";
import { useState, type ReactElement, type ReactNode } from "react";
import { fieldsOf } from "../api/error";
import { ErrorNote } from "../components/ErrorNote";
import { described, FormField } from "../components/FormField";
import type { Complaints } from "../model/create";

type Steps<F> = Record<string, readonly (keyof F & string)[]>;

/** A form spread over steps. Complaints appear for fields that were left wrong or whose step was passed. */
export interface WizardForm<F> {
  form: F;
  set<K extends keyof F>(field: K, value: F[K]): void;
  /** The complaint to show at a field now. */
  complaint(field: keyof F & string): string | undefined;
  /** Shows every complaint of a step; true when there is none. */
  pass(step: string): boolean;
  /** The first step with anything wrong, shown or not. */
  firstWrong(): string | undefined;
  /** Takes the server's complaints over. */
  refuse(errors: Complaints<F>): void;
  hasShown(step: string): boolean;
}

export function useWizardForm<F extends object>(
  defaults: F,
  steps: Steps<F>,
  check: (form: F) => Complaints<F>,
): WizardForm<F> {
  const [edits, setEdits] = useState<Partial<F>>({});
  const [shown, setShown] = useState<ReadonlySet<string>>(new Set());
  const [refused, setRefused] = useState<Complaints<F>>({});
  const form = { ...defaults, ...edits };
  const wrong = check(form);
  const complaint = (field: keyof F & string) =>
    (shown.has(field) ? wrong[field] : undefined) ?? refused[field];
  return {
    form,
    complaint,
    set(field, value) {
      setEdits((before) => ({ ...before, [field]: value }));
      setShown((before) => new Set(before).add(String(field)));
      setRefused((before) => ({ ...before, [field]: undefined }));
    },
    pass(step) {
      const fields = steps[step] ?? [];
      setShown((before) => new Set([...before, ...fields]));
      return !fields.some((field) => wrong[field] ?? refused[field]);
    },
    firstWrong: () => stepOf(steps, (field) => (wrong[field] ?? refused[field]) !== undefined),
    refuse: setRefused,
    hasShown: (step) => (steps[step] ?? []).some((field) => complaint(field) !== undefined),
  };
}

/** An error to show above the form: one of which some part found no field to stand at. */
export function unplaced(error: unknown, rest: readonly string[]): unknown {
  return Object.keys(fieldsOf(error)).length === 0 || rest.length > 0 ? error : null;
}

/** The first step that holds a field for which `test` is true. */
export function stepOf<F>(steps: Steps<F>, test: (field: keyof F & string) => boolean): string | undefined {
  return Object.keys(steps).find((step) => steps[step]?.some(test));
}

interface WizardFrameProps<F> {
  title: string;
  description: string;
  verb: string;
  wizard: WizardForm<F>;
  pending: boolean;
  /** Sends the form; resolves with the step to show when the server refused a field. */
  onFinish: () => Promise<string | undefined>;
  onClose: () => void;
  children: ReactElement | ReactElement[];
}

export function WizardFrame<F>({ title, description, children, ...rest }: WizardFrameProps<F>) {
  return (
    <Modal variant="large" isOpen onEscapePress={rest.onClose} aria-label={title} className="wizard-modal">
      <Wizard
        height="min(38rem, 82vh)"
        navAriaLabel={`${title}: steps`}
        isVisitRequired
        header={
          <WizardHeader
            title={title}
            description={description}
            onClose={rest.onClose}
            closeButtonAriaLabel={`Close ${title}`}
          />
        }
        footer={<Footer {...rest} />}
      >
        {children}
      </Wizard>
    </Modal>
  );
}

type FooterProps<F> = Omit<WizardFrameProps<F>, "title" | "description" | "children">;

function Footer<F>({ wizard, verb, pending, onFinish, onClose }: FooterProps<F>) {
  const { activeStep, steps, goToNextStep, goToPrevStep, goToStepById } = useWizardContext();
  const isLast = activeStep.index === steps.length;

  function next(): void {
    if (wizard.pass(String(activeStep.id))) void goToNextStep();
  }
  async function finish(): Promise<void> {
    const wrong = wizard.firstWrong();
    if (wrong) {
      wizard.pass(wrong);
      goToStepById(wrong);
      return;
    }
    const refusedAt = await onFinish();
    if (refusedAt) goToStepById(refusedAt);
  }

  return (
    <WizardFooterWrapper>
      <ActionList>
        <ActionListGroup>
          <ActionListItem>
            <Button
              variant="secondary"
              onClick={() => void goToPrevStep()}
              isDisabled={activeStep.index === 1 || pending}
            >
              Back
            </Button>
          </ActionListItem>
          <ActionListItem>
            {isLast ? (
              <Button isLoading={pending} isDisabled={pending} onClick={() => void finish()}>
                {verb}
              </Button>
            ) : (
              <Button onClick={next}>Next</Button>
            )}
          </ActionListItem>
          <ActionListItem>
            <Button variant="link" onClick={onClose}>
              Cancel
            </Button>
          </ActionListItem>
        </ActionListGroup>
      </ActionList>
    </WizardFooterWrapper>
  );
}

/** A step's form; Enter in a field does nothing, the footer's buttons lead on. */
export function StepForm({ children, error }: { children: ReactNode; error?: unknown }) {
  return (
    <Form noValidate onSubmit={(event) => event.preventDefault()} className="wizard-form">
      {error ? <ErrorNote title="The server refused" error={error} /> : null}
      {children}
    </Form>
  );
}

/** Ids of controls, kept apart from those of the wizard's steps. */
function fieldId(field: string): string {
  return `field-${field}`;
}

interface FieldProps<F> {
  wizard: WizardForm<F>;
  field: keyof F & string;
  label: string;
  hint?: ReactNode;
  required?: boolean;
}

interface TextFieldProps<F> extends FieldProps<F> {
  type?: "text" | "password";
  numeric?: boolean;
  placeholder?: string;
}

/** A text or number field bound to the form. */
export function TextField<F>({
  wizard,
  field,
  label,
  hint,
  required,
  type,
  numeric,
  placeholder,
}: TextFieldProps<F>) {
  const complaint = wizard.complaint(field);
  return (
    <FormField
      id={fieldId(field)}
      label={label}
      required={Boolean(required)}
      hint={hint}
      complaint={complaint}
    >
      <TextInput
        {...described(fieldId(field), complaint)}
        type={type ?? "text"}
        isRequired={Boolean(required)}
        autoComplete={type === "password" ? "new-password" : "off"}
        inputMode={numeric ? "numeric" : "text"}
        className={numeric ? "narrow" : ""}
        spellCheck={false}
        {...(placeholder ? { placeholder } : {})}
        value={String(wizard.form[field])}
        onChange={(_event, value) => wizard.set(field, value as F[keyof F & string])}
      />
    </FormField>
  );
}

interface SelectFieldProps<F> extends FieldProps<F> {
  options: readonly { value: string; label: string }[];
  /** Shown as the first, empty choice. */
  empty?: string;
  /** Sits beside the control. */
  beside?: ReactNode;
}

/** A choice bound to the form. */
export function SelectField<F>({
  wizard,
  field,
  label,
  hint,
  required,
  options,
  empty,
  beside,
}: SelectFieldProps<F>) {
  const complaint = wizard.complaint(field);
  return (
    <FormField
      id={fieldId(field)}
      label={label}
      required={Boolean(required)}
      hint={hint}
      complaint={complaint}
    >
      <div className="beside">
        <FormSelect
          {...described(fieldId(field), complaint)}
          isRequired={Boolean(required)}
          value={String(wizard.form[field])}
          onChange={(_event, value) => wizard.set(field, value as F[keyof F & string])}
        >
          {empty !== undefined && <FormSelectOption value="" label={empty} isPlaceholder />}
          {options.map(({ value, label: text }) => (
            <FormSelectOption key={value} value={value} label={text} />
          ))}
        </FormSelect>
        {beside}
      </div>
    </FormField>
  );
}

/** A yes-or-no bound to the form. */
export function CheckField<F>({ wizard, field, label }: FieldProps<F>) {
  return (
    <Checkbox
      id={fieldId(field)}
      label={label}
      isChecked={Boolean(wizard.form[field])}
      onChange={(_event, on) => wizard.set(field, on as F[keyof F & string])}
    />
  );
}
