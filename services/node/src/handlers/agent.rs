//! The guest agent of a virtual machine.

use crate::call::Call;
use crate::router::Router;
use basalt_api::methods::agent::{
    AgentCommand, AgentExecuted, AgentFile, AgentFinished, AgentResult, VmAgent, VmAgentExec,
    VmAgentExecParams, VmAgentExecStatus, VmAgentExecStatusParams, VmAgentFileRead,
    VmAgentFileReadParams, VmAgentFileWrite, VmAgentFileWriteParams, VmAgentFreeze,
    VmAgentFreezeStatus, VmAgentFsinfo, VmAgentHostName, VmAgentInfo, VmAgentInterfaces,
    VmAgentMemoryBlockInfo, VmAgentMemoryBlocks, VmAgentOsinfo, VmAgentParams, VmAgentPassword,
    VmAgentPasswordParams, VmAgentPing, VmAgentShutdown, VmAgentSuspendDisk, VmAgentSuspendHybrid,
    VmAgentSuspendRam, VmAgentThaw, VmAgentTime, VmAgentTimezone, VmAgentTrim, VmAgentUsers,
    VmAgentVcpus,
};
use basalt_api::methods::guest::GuestPath;
use basalt_api::{Error, Result};
use basalt_model::guest::GuestKind;
use basalt_model::vmid::Vmid;
use basalt_vm::agent::{Agent, Farewell, Question};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

const KIND: GuestKind = GuestKind::Qemu;
/// Most bytes of a file in one answer.
const MOST: u64 = 16 << 20;

/// Says how the methods are implemented.
pub fn register(router: &mut Router) {
    use AgentCommand as Command;
    router.on::<VmAgent, _, _, _>(|call, params: VmAgentParams| {
        let VmAgentParams { node, vmid, .. } = params;
        command(call, GuestPath { node, vmid }, params.command)
    });
    router.on::<VmAgentPing, _, _, _>(|call, path| command(call, path, Command::Ping));
    router.on::<VmAgentInfo, _, _, _>(|call, path| command(call, path, Command::Info));
    router.on::<VmAgentInterfaces, _, _, _>(|call, path| {
        command(call, path, Command::NetworkGetInterfaces)
    });
    router.on::<VmAgentFsinfo, _, _, _>(|call, path| command(call, path, Command::GetFsinfo));
    router.on::<VmAgentOsinfo, _, _, _>(|call, path| command(call, path, Command::GetOsinfo));
    router.on::<VmAgentHostName, _, _, _>(|call, path| command(call, path, Command::GetHostName));
    router.on::<VmAgentTime, _, _, _>(|call, path| command(call, path, Command::GetTime));
    router.on::<VmAgentTimezone, _, _, _>(|call, path| command(call, path, Command::GetTimezone));
    router.on::<VmAgentUsers, _, _, _>(|call, path| command(call, path, Command::GetUsers));
    router.on::<VmAgentVcpus, _, _, _>(|call, path| command(call, path, Command::GetVcpus));
    router.on::<VmAgentMemoryBlocks, _, _, _>(|call, path| {
        command(call, path, Command::GetMemoryBlocks)
    });
    router.on::<VmAgentMemoryBlockInfo, _, _, _>(|call, path| {
        command(call, path, Command::GetMemoryBlockInfo)
    });
    router.on::<VmAgentFreeze, _, _, _>(|call, path| command(call, path, Command::FsfreezeFreeze));
    router.on::<VmAgentFreezeStatus, _, _, _>(|call, path| {
        command(call, path, Command::FsfreezeStatus)
    });
    router.on::<VmAgentThaw, _, _, _>(|call, path| command(call, path, Command::FsfreezeThaw));
    router.on::<VmAgentTrim, _, _, _>(|call, path| command(call, path, Command::Fstrim));
    router.on::<VmAgentShutdown, _, _, _>(|call, path| command(call, path, Command::Shutdown));
    router
        .on::<VmAgentSuspendDisk, _, _, _>(|call, path| command(call, path, Command::SuspendDisk));
    router.on::<VmAgentSuspendHybrid, _, _, _>(|call, path| {
        command(call, path, Command::SuspendHybrid)
    });
    router.on::<VmAgentSuspendRam, _, _, _>(|call, path| command(call, path, Command::SuspendRam));
    router.on::<VmAgentExec, _, _, _>(exec);
    router.on::<VmAgentExecStatus, _, _, _>(exec_status);
    router.on::<VmAgentFileRead, _, _, _>(file_read);
    router.on::<VmAgentFileWrite, _, _, _>(file_write);
    router.on::<VmAgentPassword, _, _, _>(password);
}

/// What a command is to the agent.
enum Wish {
    Ask(Question),
    Leave(Farewell),
}

fn wish(command: AgentCommand) -> Wish {
    match command {
        AgentCommand::FsfreezeFreeze => Wish::Ask(Question::FREEZE),
        AgentCommand::FsfreezeStatus => Wish::Ask(Question::FREEZE_STATUS),
        AgentCommand::FsfreezeThaw => Wish::Ask(Question::THAW),
        AgentCommand::Fstrim => Wish::Ask(Question::TRIM),
        AgentCommand::GetFsinfo => Wish::Ask(Question::FILE_SYSTEMS),
        AgentCommand::GetHostName => Wish::Ask(Question::HOST_NAME),
        AgentCommand::GetMemoryBlockInfo => Wish::Ask(Question::MEMORY_BLOCK_INFO),
        AgentCommand::GetMemoryBlocks => Wish::Ask(Question::MEMORY_BLOCKS),
        AgentCommand::GetOsinfo => Wish::Ask(Question::SYSTEM),
        AgentCommand::GetTime => Wish::Ask(Question::TIME),
        AgentCommand::GetTimezone => Wish::Ask(Question::TIME_ZONE),
        AgentCommand::GetUsers => Wish::Ask(Question::USERS),
        AgentCommand::GetVcpus => Wish::Ask(Question::VCPUS),
        AgentCommand::Info => Wish::Ask(Question::INFO),
        AgentCommand::NetworkGetInterfaces => Wish::Ask(Question::INTERFACES),
        AgentCommand::Ping => Wish::Ask(Question::PING),
        AgentCommand::Shutdown => Wish::Leave(Farewell::Shutdown),
        AgentCommand::SuspendDisk => Wish::Leave(Farewell::SuspendDisk),
        AgentCommand::SuspendHybrid => Wish::Leave(Farewell::SuspendHybrid),
        AgentCommand::SuspendRam => Wish::Leave(Farewell::SuspendRam),
    }
}

/// The agent of a machine that runs.
async fn agent(call: &Call, node: &str, vmid: Vmid) -> Result<Agent> {
    call.node.check_name(node)?;
    call.node.guest(KIND, vmid)?;
    call.node.machines.agent(vmid).await.map_err(Error::failed)
}

async fn command(call: Call, path: GuestPath, command: AgentCommand) -> Result<AgentResult> {
    let mut agent = agent(&call, &path.node, path.vmid).await?;
    let result = match wish(command) {
        Wish::Ask(question) => agent.ask(question).await,
        Wish::Leave(farewell) => agent.dismiss(farewell).await.map(|()| json!({})),
    };
    let result: Value = result.map_err(Error::failed)?;
    Ok(AgentResult { result })
}

async fn exec(call: Call, params: VmAgentExecParams) -> Result<AgentExecuted> {
    let Some((program, arguments)) = params.command.split_first() else {
        return Err(Error::param("command", "it names no program"));
    };
    let mut agent = agent(&call, &params.node, params.vmid).await?;
    let input = params.input_data.as_deref();
    let started = agent.execute(program, arguments, input).await;
    let pid = started.map_err(Error::failed)?.pid;
    Ok(AgentExecuted { pid })
}

async fn exec_status(call: Call, params: VmAgentExecStatusParams) -> Result<AgentFinished> {
    let mut agent = agent(&call, &params.node, params.vmid).await?;
    let program = agent.executed(params.pid).await.map_err(Error::failed)?;
    Ok(AgentFinished {
        exited: program.exited,
        exitcode: program.exitcode,
        signal: program.signal,
        out_data: program.output().map_err(Error::failed)?,
        err_data: program.errors().map_err(Error::failed)?,
        out_truncated: program.out_truncated,
        err_truncated: program.err_truncated,
    })
}

async fn file_read(call: Call, params: VmAgentFileReadParams) -> Result<AgentFile> {
    let mut agent = agent(&call, &params.node, params.vmid).await?;
    let (offset, count) = (params.offset.unwrap_or(0), params.count.unwrap_or(MOST));
    let read = agent.read_file(&params.file, offset, count.min(MOST)).await;
    let read = read.map_err(Error::failed)?;
    let content = match params.decode {
        Some(false) => STANDARD.encode(&read.bytes),
        _ => String::from_utf8_lossy(&read.bytes).into_owned(),
    };
    Ok(AgentFile {
        content,
        bytes_read: read.bytes.len() as u64,
        truncated: read.truncated.then_some(true),
    })
}

async fn file_write(call: Call, params: VmAgentFileWriteParams) -> Result<()> {
    let content = match params.encode {
        Some(false) if STANDARD.decode(&params.content).is_err() => {
            return Err(Error::param("content", "it is no base64: use encode=1"));
        }
        Some(false) => params.content,
        _ => STANDARD.encode(&params.content),
    };
    let mut agent = agent(&call, &params.node, params.vmid).await?;
    let written = agent.write_file(&params.file, &content).await;
    written.map_err(Error::failed)
}

async fn password(call: Call, params: VmAgentPasswordParams) -> Result<AgentResult> {
    let mut agent = agent(&call, &params.node, params.vmid).await?;
    let crypted = params.crypted == Some(true);
    let set = agent.set_password(&params.username, &params.password, crypted);
    set.await.map_err(Error::failed)?;
    let result = json!({});
    Ok(AgentResult { result })
}
