//! Our applied set as the API has it: its members, and deleting them.

use std::collections::BTreeSet;

use backon::Retryable;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Preconditions};
use kube::core::GroupVersionKind;
use kube::discovery::{self, ApiResource};
use serde_json::Value;

use super::super::applied_set::{self, GroupKind};
use super::apply::{Applier, CONCURRENCY, ObjectId, backoff, builtin_resource, to_value};
use super::error::ApiError;
use crate::layout::names;

/// Our applied set.
#[derive(Debug, Clone, Default)]
pub struct AppliedSet {
    /// The kinds that its parent lists.
    pub kinds: BTreeSet<GroupKind>,
    /// The namespaces that its parent lists.
    pub namespaces: BTreeSet<String>,
    /// Its members that are not being deleted already.
    pub members: Vec<Value>,
}

impl Applier {
    /// Reads the set with its members: one request for each kind. Empty if it does not exist.
    ///
    /// # Errors
    /// The first request that failed.
    pub async fn read_set(&self) -> Result<AppliedSet, ApiError> {
        use futures::{StreamExt, TryStreamExt};
        let mut set = self.read_parent().await?;
        let lists: Vec<Vec<Value>> = futures::stream::iter(set.kinds.clone())
            .map(|kind| self.list_members(kind))
            .buffered(CONCURRENCY)
            .try_collect()
            .await?;
        set.members = lists.into_iter().flatten().collect();
        Ok(set)
    }

    /// Reads the set's parent alone.
    ///
    /// # Errors
    /// The request that failed.
    pub async fn read_parent(&self) -> Result<AppliedSet, ApiError> {
        let id = ObjectId {
            api_version: "v1".into(),
            kind: "ConfigMap".into(),
            namespace: names::KUBE_SYSTEM.into(),
            name: names::APPLIED_SET.into(),
        };
        let parent = self.api(&id).await?.get_opt(&id.name).await;
        let parent = parent.map_err(ApiError::request(format!("read {id}")))?;
        let parent = parent.as_ref().map(to_value).unwrap_or_default();
        Ok(AppliedSet {
            kinds: applied_set::kinds_of(&parent),
            namespaces: applied_set::namespaces_of(&parent),
            members: Vec::new(),
        })
    }

    /// Members of one kind, in all namespaces. None, if the kind is not served any more.
    async fn list_members(&self, kind: GroupKind) -> Result<Vec<Value>, ApiError> {
        let resource = match self.resource_of(&kind).await {
            Ok(Some(resource)) => resource,
            Ok(None) => return Ok(Vec::new()),
            Err(error) if error.is_unknown_kind() => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let params = ListParams::default().labels(&applied_set::selector());
        let listed = api.list(&params).await;
        let listed = match listed.map_err(ApiError::request(format!("list {kind}"))) {
            Err(error) if error.is_unknown_kind() => return Ok(Vec::new()),
            listed => listed?,
        };
        let members = listed.items.iter().map(|object| {
            let mut object = to_value(object);
            // Items of lists carry neither.
            object["apiVersion"] = resource.api_version.clone().into();
            object["kind"] = resource.kind.clone().into();
            object
        });
        Ok(members
            .filter(|object| object["metadata"]["deletionTimestamp"].is_null())
            .filter(applied_set::is_member)
            .collect())
    }

    /// Where objects of a kind are, in the version that the server prefers.
    async fn resource_of(&self, kind: &GroupKind) -> Result<Option<ApiResource>, ApiError> {
        let v1 = GroupVersionKind::gvk(&kind.group, "v1", &kind.kind);
        if let Some((resource, _)) = builtin_resource(&v1) {
            return Ok(Some(resource));
        }
        let cannot = || ApiError::request(format!("look up {kind}"));
        // The core group is in no list of groups.
        if kind.group.is_empty() {
            let found = discovery::pinned_kind(&self.client, &v1).await;
            return found.map(|(resource, _)| Some(resource)).map_err(cannot());
        }
        let group = discovery::group(&self.client, &kind.group).await;
        let group = group.map_err(cannot())?;
        let found = group.recommended_kind(&kind.kind);
        Ok(found.map(|(resource, _)| resource))
    }

    /// Deletes an object, if it is still the one with that UID. Returns whether it is gone;
    /// if not, a finalizer holds it.
    ///
    /// # Errors
    /// The last failure once the budget is spent.
    pub async fn delete(&self, id: &ObjectId, uid: &str) -> Result<bool, ApiError> {
        let what = format!("delete {id}");
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(uid.to_owned()),
                resource_version: None,
            }),
            ..DeleteParams::background()
        };
        let attempt = || async {
            let deleted = self.api(id).await?.delete(&id.name, &params).await;
            match deleted {
                Ok(answer) => Ok(answer.either(
                    |object| object.metadata.deletion_timestamp.is_none(),
                    |_| true,
                )),
                // It is gone, or another one of its name is there.
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(true),
                Err(error) => Err(ApiError::request(&what)(error)),
            }
        };
        attempt
            .retry(backoff(self.budget))
            .when(ApiError::is_transient)
            .await
    }

    /// Whether no object of that name and UID exists any more.
    ///
    /// # Errors
    /// The request that failed.
    pub async fn is_gone(&self, id: &ObjectId, uid: &str) -> Result<bool, ApiError> {
        let live = match self.api(id).await {
            Ok(api) => api.get_opt(&id.name).await,
            Err(error) if error.is_unknown_kind() => return Ok(true),
            Err(error) => return Err(error),
        };
        let live = live.map_err(ApiError::request(format!("read {id}")))?;
        Ok(live.is_none_or(|live| live.metadata.uid.as_deref() != Some(uid)))
    }
}
