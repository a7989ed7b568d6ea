//! The system calls no container may make.
//!
//! The container's capabilities count only in its own user namespace, so most of these would be
//! refused anyway; the filter keeps code that has often been the way out of one away from it. It
//! is an allow-all with exceptions, because a whole distribution runs behind it, and it covers the
//! 32-bit calls of an x86-64 kernel too.

use libc::{EACCES, EAFNOSUPPORT, ENOSYS, EPERM, sock_filter};

/// A call that is refused.
#[derive(Clone, Copy)]
struct Rule {
    /// Number on x86-64.
    number: libc::c_long,
    /// Number of the 32-bit call; none when only its 64-bit form exists or is harmless.
    number_32: Option<u32>,
    /// Refused only when this holds.
    argument: Option<Argument>,
    errno: i32,
}

/// `arguments[index] & mask == value`, on the lower 32 bits.
#[derive(Clone, Copy)]
struct Argument {
    index: u32,
    mask: u32,
    value: u32,
}

const fn refuse(number: libc::c_long, number_32: u32, errno: i32) -> Rule {
    Rule {
        number,
        number_32: Some(number_32),
        argument: None,
        errno,
    }
}

const fn refuse_family(family: i32) -> Rule {
    Rule {
        number: libc::SYS_socket,
        number_32: Some(359),
        argument: Some(Argument {
            index: 0,
            mask: u32::MAX,
            value: family as u32,
        }),
        errno: EAFNOSUPPORT,
    }
}

const RULES: &[Rule] = &[
    // Key rings are not divided by container; "no such call" is what programs cope with.
    refuse(libc::SYS_keyctl, 288, ENOSYS),
    refuse(libc::SYS_add_key, 286, ENOSYS),
    refuse(libc::SYS_request_key, 287, ENOSYS),
    refuse(libc::SYS_kexec_load, 283, EPERM),
    refuse(libc::SYS_init_module, 128, EPERM),
    refuse(libc::SYS_finit_module, 350, EPERM),
    refuse(libc::SYS_delete_module, 129, EPERM),
    // Opens files by number, past every directory above them.
    refuse(libc::SYS_open_by_handle_at, 342, EPERM),
    refuse(libc::SYS_swapon, 87, EPERM),
    refuse(libc::SYS_swapoff, 115, EPERM),
    refuse(libc::SYS_iopl, 110, EPERM),
    refuse(libc::SYS_ioperm, 101, EPERM),
    refuse(libc::SYS_perf_event_open, 336, EPERM),
    Rule {
        number: libc::SYS_kexec_file_load,
        number_32: None,
        argument: None,
        errno: EPERM,
    },
    Rule {
        number: libc::SYS_umount2,
        number_32: Some(52),
        argument: Some(Argument {
            index: 1,
            mask: libc::MNT_FORCE as u32,
            value: libc::MNT_FORCE as u32,
        }),
        errno: EACCES,
    },
    refuse_family(libc::AF_ALG),
    refuse_family(libc::AF_VSOCK),
];

const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
const AUDIT_ARCH_I386: u32 = 0x4000_0003;
/// Marks calls of the x32 ABI, which share x86-64's audit architecture.
const X32_BIT: u32 = 0x4000_0000;

// Offsets in `struct seccomp_data`.
const OFFSET_NUMBER: u32 = 0;
const OFFSET_ARCH: u32 = 4;
const OFFSET_ARGUMENTS: u32 = 16;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
const JUMP_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const JUMP_SET: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// The filter's program.
pub fn program() -> Vec<sock_filter> {
    let native = body(|rule| u32::try_from(rule.number).ok(), true);
    let compatible = body(|rule| rule.number_32, false);
    let mut program = vec![
        statement(LOAD, OFFSET_ARCH),
        // Each architecture's part ends with a return of its own.
        jump(JUMP_EQUAL, AUDIT_ARCH_X86_64, 0, length(&native)),
    ];
    program.extend(native);
    program.push(jump(JUMP_EQUAL, AUDIT_ARCH_I386, 0, length(&compatible)));
    program.extend(compatible);
    program.push(statement(RETURN, errno(ENOSYS)));
    program
}

/// The rules of one architecture: entered with anything loaded, always returns.
fn body(number: impl Fn(&Rule) -> Option<u32>, refuse_x32: bool) -> Vec<sock_filter> {
    let mut body = vec![statement(LOAD, OFFSET_NUMBER)];
    if refuse_x32 {
        body.push(jump(JUMP_SET, X32_BIT, 0, 1));
        body.push(statement(RETURN, errno(ENOSYS)));
    }
    for rule in RULES {
        let Some(number) = number(rule) else { continue };
        match rule.argument {
            None => {
                body.push(jump(JUMP_EQUAL, number, 0, 1));
                body.push(statement(RETURN, errno(rule.errno)));
            }
            Some(argument) => {
                body.push(jump(JUMP_EQUAL, number, 0, 5));
                body.push(statement(LOAD, OFFSET_ARGUMENTS + 8 * argument.index));
                body.push(statement(AND, argument.mask));
                body.push(jump(JUMP_EQUAL, argument.value, 0, 1));
                body.push(statement(RETURN, errno(rule.errno)));
                body.push(statement(LOAD, OFFSET_NUMBER));
            }
        }
    }
    body.push(statement(RETURN, libc::SECCOMP_RET_ALLOW));
    body
}

fn errno(number: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | number.cast_unsigned()
}

/// Jump distances are one byte.
fn length(part: &[sock_filter]) -> u8 {
    u8::try_from(part.len()).expect("the rules are few; a test builds the program")
}

const fn statement(code: u16, k: u32) -> sock_filter {
    sock_filter {
        code,
        jt: 0,
        jf: 0,
        k,
    }
}

const fn jump(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program the way the kernel does.
    fn verdict(arch: u32, number: u32, arguments: [u32; 2]) -> u32 {
        let program = program();
        let mut accumulator = 0;
        let mut at = 0;
        loop {
            let instruction = program[at];
            at += 1;
            match instruction.code {
                LOAD => {
                    accumulator = match instruction.k {
                        OFFSET_NUMBER => number,
                        OFFSET_ARCH => arch,
                        offset => arguments[((offset - OFFSET_ARGUMENTS) / 8) as usize],
                    }
                }
                AND => accumulator &= instruction.k,
                RETURN => return instruction.k,
                code => {
                    let holds = match code {
                        JUMP_EQUAL => accumulator == instruction.k,
                        JUMP_SET => accumulator & instruction.k != 0,
                        other => panic!("unknown instruction {other}"),
                    };
                    at += usize::from(if holds {
                        instruction.jt
                    } else {
                        instruction.jf
                    });
                }
            }
        }
    }

    #[test]
    fn refuses_what_it_should_and_nothing_else() {
        let native =
            |number: libc::c_long, arguments| verdict(AUDIT_ARCH_X86_64, number as u32, arguments);
        assert_eq!(native(libc::SYS_keyctl, [0; 2]), errno(ENOSYS));
        assert_eq!(native(libc::SYS_open_by_handle_at, [0; 2]), errno(EPERM));
        assert_eq!(native(libc::SYS_kexec_file_load, [0; 2]), errno(EPERM));
        assert_eq!(native(libc::SYS_read, [0; 2]), libc::SECCOMP_RET_ALLOW);
        assert_eq!(native(libc::SYS_clone3, [0; 2]), libc::SECCOMP_RET_ALLOW);
    }

    #[test]
    fn looks_at_arguments() {
        let native =
            |number: libc::c_long, arguments| verdict(AUDIT_ARCH_X86_64, number as u32, arguments);
        let socket = |family: i32| native(libc::SYS_socket, [family as u32, 0]);
        assert_eq!(socket(libc::AF_ALG), errno(EAFNOSUPPORT));
        assert_eq!(socket(libc::AF_VSOCK), errno(EAFNOSUPPORT));
        assert_eq!(socket(libc::AF_INET), libc::SECCOMP_RET_ALLOW);
        let umount = |flags: i32| native(libc::SYS_umount2, [0, flags as u32]);
        assert_eq!(umount(libc::MNT_FORCE | libc::MNT_DETACH), errno(EACCES));
        assert_eq!(umount(libc::MNT_DETACH), libc::SECCOMP_RET_ALLOW);
    }

    #[test]
    fn other_architectures_are_no_way_around() {
        assert_eq!(verdict(AUDIT_ARCH_I386, 288, [0; 2]), errno(ENOSYS));
        assert_eq!(verdict(AUDIT_ARCH_I386, 3, [0; 2]), libc::SECCOMP_RET_ALLOW);
        let x32 = X32_BIT | libc::SYS_read as u32;
        assert_eq!(verdict(AUDIT_ARCH_X86_64, x32, [0; 2]), errno(ENOSYS));
        assert_eq!(verdict(0xc000_00b7, 0, [0; 2]), errno(ENOSYS));
    }
}
