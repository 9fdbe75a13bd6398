//! The operations of S3 on a folder.

use std::sync::Arc;

use async_trait::async_trait;
use bench_service_s3::Keys;
use s3s::auth::{S3Auth, SecretKey};
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, Bucket, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource,
    CreateBucketInput, CreateBucketOutput, CreateMultipartUploadInput, CreateMultipartUploadOutput,
    DeleteBucketInput, DeleteBucketOutput, DeleteObjectInput, DeleteObjectOutput,
    DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, ETagCondition, Error as DeleteError,
    GetBucketLocationInput, GetBucketLocationOutput, GetObjectInput, GetObjectOutput,
    HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput, ListBucketsInput,
    ListBucketsOutput, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input,
    ListObjectsV2Output, Metadata, PutObjectInput, PutObjectOutput, UploadPartInput,
    UploadPartOutput,
};
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

use super::body::{Digests, blocking, receive, send};
use super::conditions::{Conditions, Reading};
use super::disk;
use super::folder::Folder;
use super::list::{Page, Query};

/// Most keys of a page, and the default.
const PAGE_MAX_KEYS: i32 = 1_000;

/// Admits requests that are signed with the keys.
pub(super) struct Doorkeeper(pub(super) Keys);

#[async_trait]
impl S3Auth for Doorkeeper {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        if access_key == self.0.access_key {
            Ok(self.0.secret_key.as_str().into())
        } else {
            Err(s3_error!(InvalidAccessKeyId))
        }
    }
}

/// The objects of a folder.
pub(super) struct Objects(pub(super) Arc<Folder>);

impl Objects {
    /// Runs an operation on the folder that waits for the disk.
    async fn on_disk<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Folder) -> S3Result<T> + Send + 'static,
    ) -> S3Result<T> {
        let folder = Arc::clone(&self.0);
        blocking(move || act(&folder)).await
    }
}

#[async_trait]
impl S3 for Objects {
    async fn list_buckets(
        &self,
        _: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        let buckets = self.on_disk(Folder::buckets).await?.into_iter().map(|(name, made)| Bucket {
            name: Some(name),
            creation_date: Some(made.into()),
            ..Bucket::default()
        });
        answer(ListBucketsOutput { buckets: Some(buckets.collect()), ..Default::default() })
    }

    async fn create_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        let bucket = request.input.bucket;
        let is_new =
            self.on_disk(move |folder| folder.create_bucket(&bucket).map_err(disk::failed));
        if !is_new.await? {
            return Err(s3_error!(BucketAlreadyOwnedByYou));
        }
        answer(CreateBucketOutput::default())
    }

    async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.0.bucket(&request.input.bucket)?;
        answer(HeadBucketOutput::default())
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.0.bucket(&request.input.bucket)?;
        answer(GetBucketLocationOutput::default())
    }

    async fn delete_bucket(
        &self,
        request: S3Request<DeleteBucketInput>,
    ) -> S3Result<S3Response<DeleteBucketOutput>> {
        let bucket = request.input.bucket;
        self.on_disk(move |folder| folder.delete_bucket(&bucket)).await?;
        answer(DeleteBucketOutput {})
    }

    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let mut input = request.input;
        refuse_metadata(input.metadata.as_ref())?;
        let digests = Digests::of_object(&mut input, request.trailing_headers);
        let conditions =
            Conditions { if_match: input.if_match, if_none_match: input.if_none_match };
        let (bucket, key) = (input.bucket, input.key);
        let put = receive(&self.0, input.body, digests, move |folder, file| {
            folder.put(file, &bucket, &key, &conditions)
        });
        answer(PutObjectOutput { e_tag: Some(put.await?.e_tag), ..Default::default() })
    }

    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        // Not worth another thread: it is usually asked for objects that do not exist yet.
        let (file, about) = self.0.open_object(&input.bucket, &input.key)?;
        let wanted = (input.if_match, input.if_none_match);
        let since = (input.if_modified_since, input.if_unmodified_since);
        Reading { wanted, since }.check(&about)?;
        let range = input.range.map(|range| range.check(about.size_bytes)).transpose()?;
        let content_range = range
            .as_ref()
            .map(|range| format!("bytes {}-{}/{}", range.start, range.end - 1, about.size_bytes));
        let range = range.unwrap_or(0..about.size_bytes);
        answer(GetObjectOutput {
            content_length: length(range.end - range.start),
            body: Some(send(file, range).await?),
            content_range,
            accept_ranges: Some("bytes".to_owned()),
            e_tag: Some(about.e_tag),
            last_modified: Some(about.modified.into()),
            ..Default::default()
        })
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        let (_, about) = self.0.open_object(&input.bucket, &input.key)?;
        let wanted = (input.if_match, input.if_none_match);
        let since = (input.if_modified_since, input.if_unmodified_since);
        Reading { wanted, since }.check(&about)?;
        answer(HeadObjectOutput {
            content_length: length(about.size_bytes),
            accept_ranges: Some("bytes".to_owned()),
            e_tag: Some(about.e_tag),
            last_modified: Some(about.modified.into()),
            ..Default::default()
        })
    }

    async fn copy_object(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        let input = request.input;
        let CopySource::Bucket { bucket: from_bucket, key: from_key, version_id: None } =
            input.copy_source
        else {
            return Err(s3_error!(NotImplemented));
        };
        refuse_metadata(input.metadata.as_ref())?;
        let reading = Reading {
            wanted: (input.copy_source_if_match, input.copy_source_if_none_match),
            since: (input.copy_source_if_modified_since, input.copy_source_if_unmodified_since),
        };
        let (bucket, key) = (input.bucket, input.key);
        let about = self.on_disk(move |folder| {
            let (source, about) = folder.open_object(&from_bucket, &from_key)?;
            reading.check(&about)?;
            let mut file = folder.temporary().map_err(disk::failed)?;
            file.append(&source).map_err(disk::failed)?;
            folder.put(&file, &bucket, &key, &Conditions::default())
        });
        let about = about.await?;
        let result = CopyObjectResult {
            e_tag: Some(about.e_tag),
            last_modified: Some(about.modified.into()),
            ..Default::default()
        };
        answer(CopyObjectOutput { copy_object_result: Some(result), ..Default::default() })
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let DeleteObjectInput { bucket, key, if_match, .. } = request.input;
        self.on_disk(move |folder| folder.delete(&bucket, &key, if_match)).await?;
        answer(DeleteObjectOutput::default())
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let DeleteObjectsInput { bucket, delete, .. } = request.input;
        let is_quiet = delete.quiet == Some(true);
        let deleted = self.on_disk(move |folder| {
            folder.bucket(&bucket)?;
            let (mut deleted, mut errors) = (Vec::new(), Vec::new());
            for object in delete.objects {
                let key = Some(object.key.clone());
                let if_match = object.e_tag.map(ETagCondition::ETag);
                match folder.delete(&bucket, &object.key, if_match) {
                    Ok(()) => deleted.push(DeletedObject { key, ..DeletedObject::default() }),
                    Err(error) => errors.push(DeleteError {
                        key,
                        code: Some(error.code().as_str().to_owned()),
                        message: error.message().map(str::to_owned),
                        ..DeleteError::default()
                    }),
                }
            }
            Ok((deleted, errors))
        });
        let (deleted, errors) = deleted.await?;
        answer(DeleteObjectsOutput {
            deleted: (!is_quiet).then_some(deleted),
            errors: (!errors.is_empty()).then_some(errors),
            ..Default::default()
        })
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let (page, count_max) = self.list(&input).await?;
        answer(ListObjectsV2Output {
            key_count: i32::try_from(page.count()).ok(),
            max_keys: Some(count_max),
            is_truncated: Some(page.next.is_some()),
            contents: Some(page.objects),
            common_prefixes: Some(page.prefixes),
            next_continuation_token: page.next,
            continuation_token: input.continuation_token,
            delimiter: input.delimiter,
            name: Some(input.bucket),
            prefix: input.prefix,
            start_after: input.start_after,
            ..Default::default()
        })
    }

    async fn list_objects(
        &self,
        request: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        let input = request.input;
        let marker = input.marker.clone();
        let input = ListObjectsV2Input::from(input);
        let (page, count_max) = self.list(&input).await?;
        answer(ListObjectsOutput {
            max_keys: Some(count_max),
            is_truncated: Some(page.next.is_some()),
            contents: Some(page.objects),
            common_prefixes: Some(page.prefixes),
            next_marker: page.next,
            marker,
            delimiter: input.delimiter,
            name: Some(input.bucket),
            prefix: input.prefix,
            ..Default::default()
        })
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let CreateMultipartUploadInput { bucket, key, metadata, .. } = request.input;
        refuse_metadata(metadata.as_ref())?;
        let target = (bucket.clone(), key.clone());
        let id = self.on_disk(move |folder| folder.begin_upload(&target.0, &target.1)).await?;
        answer(CreateMultipartUploadOutput {
            bucket: Some(bucket),
            key: Some(key),
            upload_id: Some(id),
            ..Default::default()
        })
    }

    async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let mut input = request.input;
        let digests = Digests::of_part(&mut input, request.trailing_headers);
        let UploadPartInput { body, bucket, key, upload_id, part_number, .. } = input;
        let part = receive(&self.0, body, digests, move |folder, file| {
            folder.put_part(file, (&bucket, &key, &upload_id), part_number)
        });
        answer(UploadPartOutput { e_tag: Some(part.await?.e_tag), ..Default::default() })
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = request.input;
        let conditions =
            Conditions { if_match: input.if_match, if_none_match: input.if_none_match };
        let parts = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let (bucket, key) = (input.bucket, input.key);
        let target = (bucket.clone(), key.clone());
        let completed = self.on_disk(move |folder| {
            let upload = (target.0.as_str(), target.1.as_str(), input.upload_id.as_str());
            folder.complete_upload(upload, &parts, &conditions)
        });
        answer(CompleteMultipartUploadOutput {
            e_tag: Some(completed.await?.e_tag),
            bucket: Some(bucket),
            key: Some(key),
            ..Default::default()
        })
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let AbortMultipartUploadInput { bucket, key, upload_id, .. } = request.input;
        self.on_disk(move |folder| folder.abort_upload((&bucket, &key, &upload_id))).await?;
        answer(AbortMultipartUploadOutput::default())
    }
}

impl Objects {
    /// One page, and the most keys of it.
    async fn list(&self, input: &ListObjectsV2Input) -> S3Result<(Page, i32)> {
        let by_folder = match input.delimiter.as_deref() {
            None | Some("") => false,
            Some("/") => true,
            Some(_) => return Err(s3_error!(NotImplemented, "the delimiter can only be '/'")),
        };
        let count_max = input.max_keys.unwrap_or(PAGE_MAX_KEYS).min(PAGE_MAX_KEYS);
        let after = [&input.continuation_token, &input.start_after].into_iter().flatten().max();
        let query = Query {
            prefix: input.prefix.clone().unwrap_or_default(),
            after: after.cloned().unwrap_or_default(),
            by_folder,
            count_max: usize::try_from(count_max).map_err(|_| s3_error!(InvalidArgument))?,
        };
        let bucket = input.bucket.clone();
        let page = self.on_disk(move |folder| folder.list(&bucket, &query)).await?;
        Ok((page, count_max))
    }
}

/// Refuses metadata, which would be lost silently.
fn refuse_metadata(metadata: Option<&Metadata>) -> S3Result<()> {
    if metadata.is_none_or(Metadata::is_empty) {
        return Ok(());
    }
    Err(s3_error!(NotImplemented, "the embedded S3 keeps no metadata (x-amz-meta-...) of objects"))
}

fn length(size_bytes: u64) -> Option<i64> {
    i64::try_from(size_bytes).ok()
}

#[expect(clippy::unnecessary_wraps, reason = "all operations return this")]
fn answer<T>(output: T) -> S3Result<S3Response<T>> {
    Ok(S3Response::new(output))
}
